"""The base of every benchmark: how a measured number reaches asv, and the log beside it.

All benchmarks are asv `track_` benchmarks, because they need worker processes, cold caches or
garbage collection, which `time_` excludes. Each returns one sample; asv's rounds repeat it in
fresh processes, so the samples of a cell are its blocks.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.util
import os
from collections.abc import Callable
from typing import Any

from asv_runner.benchmarks.mark import SkipNotImplemented

from datasets_impl.errors import MissingPackage, Unsupported
from datasets_impl.loaders.threads import none_were_lost
from datasets_impl.media.workspaces import name_semaphores
from datasets_impl.observe import load
from datasets_impl.observe.log import ROUND_VARIABLE, observe
from datasets_impl.system.allocator import keep_freed_memory
from datasets_impl.system.left_out import because
from datasets_impl.system.termination import end_with_parent

from .grids import GRID, SPARSE, Cell

FOLDER_OF_SOCKETS = -100  # the priority at which multiprocessing removes it at exit, its last one
Measured = tuple[float, dict[str, Any]]  # the value and the verified state it was measured in
IN_STUDY = ROUND_VARIABLE in os.environ
IMPORTED_IN = os.getpid()
if IN_STUDY:  # asv's server imports this, and would wait for an asv that was killed
    end_with_parent()


class _Benchmark:
    rounds = GRID.rounds  # for a plain `asv run`; a study runs asv once for each round
    every = 1  # of a study's rounds: each one; 3 every third one, 0 only the first
    timeout = 900
    version = "1"  # raise it when the meaning of a number changes, here or in measures/
    param_names: list[str] = []
    params: list[Any] = []
    keeps_freed_memory = True  # False where memory is measured: users run with the default
    spoilt_by_load = True  # False: a count or a size, which other programs cannot change
    also: tuple[str, ...] = ()  # further numbers of its measurements, as the log has them
    needs_corpus = True  # False: its samples are made up, no photographs are built for it

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        topic = cls.__module__.rpartition(".")[2]
        if not all(cls.params) or (GRID.topics and topic not in GRID.topics):
            # The profile leaves the class out, as a topic or by giving a factor no levels. asv
            # refuses a benchmark without cells, and passes over what is abstract.
            cls.__abstractmethods__ = frozenset({"params"})  # type: ignore[attr-defined]

    def measured(self, levels: tuple[Any, ...], measure: Callable[[Cell], Measured]) -> Any:
        """Measure one cell, log the state it was measured in, and hand asv the sample.

        A measurement during which other programs or guests used the CPU is void and is repeated
        here, at most twice. Only the load decides, never the value, and the log keeps both. A last
        attempt that is no better is marked in the log, and the judge leaves its block out.

        Raises:
            SkipNotImplemented: this machine cannot provide the cell; the log says why.
        """
        if os.getpid() != IMPORTED_IN:  # this process is a fork of asv's server
            none_were_lost()  # which only imports: every arm has all of PyTorch's threads
            if IN_STUDY:
                end_with_parent()
        name_semaphores()
        place = {
            "benchmark": f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}",
            "factors": dict(zip(self.param_names, levels, strict=True)),
        }
        retries, spent = load.most_retries() if self.spoilt_by_load else 0, 0.0
        while True:
            value, record, during = self._attempt(place, levels, measure)
            spoilt = during.spoils() if self.spoilt_by_load else ""
            spent += during.seconds
            # asv ends a benchmark that exceeds its time, and with it all that was measured.
            if not spoilt or not retries or spent + during.seconds > self.timeout / 2:
                break
            retries -= 1
            observe({**record, "voided": spoilt})
        observe({**record, "loaded": True, "load": spoilt} if spoilt else record)
        return {"samples": [value], "number": 1}

    def _attempt(
        self,
        place: dict[str, Any],
        levels: tuple[Any, ...],
        measure: Callable[[Cell], Measured],
    ) -> tuple[float, dict[str, Any], load.Load]:
        """The value of one measurement, its record for the log, and the load meanwhile."""
        record = {
            **place,
            "load_before": round(os.getloadavg()[0], 2),
            "freed_memory_kept": self.keeps_freed_memory and keep_freed_memory(),
        }
        before = load.snapshot()
        try:
            value, state = measure(Cell.at(self.param_names, levels))
        except (Unsupported, MissingPackage) as error:
            reason = because(str(error))
            observe({**record, "skipped": reason})
            raise SkipNotImplemented(reason) from error
        except Exception as error:
            observe({**record, "failed": f"{type(error).__name__}: {error}"})
            raise
        finally:
            _finish_multiprocessing()
        during = load.between(before, load.snapshot())
        record |= {
            "value": value,
            "seconds": round(during.seconds, 3),
            "foreign_cores": round(during.foreign, 3),
            "steal": round(during.steal, 4),
            "mhz": load.frequency(),
        }
        return value, record | state, during


def tracked(measure: Callable[[Cell], Measured], unit: str) -> Callable[..., Any]:
    """A `track_` method for a benchmark: one cell, measured by `measure` in `unit`."""

    def track(self: _Benchmark, *levels: Any) -> Any:
        return self.measured(levels, measure)

    track.unit = unit  # type: ignore[attr-defined]
    return track


class _Sparse(_Benchmark):
    """Slow to measure, and steady enough for a third of the rounds."""

    rounds = -(-GRID.rounds // SPARSE)
    every = SPARSE


def _finish_multiprocessing() -> None:
    """End workers and remove the folder of their sockets.

    asv ends this process without its exit handlers, which would do it; the process may also go on
    measuring, so multiprocessing must not believe that it is exiting.
    """
    for worker in multiprocessing.active_children():
        worker.terminate()
        worker.join()
    # The fork server first: its socket lies in that folder, so a second attempt could not reach it.
    multiprocessing.forkserver._forkserver._stop()
    multiprocessing.util._run_finalizers(FOLDER_OF_SOCKETS)
    multiprocessing.current_process()._config.pop("tempdir", None)
