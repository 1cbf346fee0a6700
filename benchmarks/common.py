"""The base of every benchmark: how a measured number reaches asv, and the log beside it.

All benchmarks are asv `track_` benchmarks, because they need worker processes, cold caches or
garbage collection, which `time_` excludes. Each returns one sample; asv's rounds repeat it in
fresh processes, so the samples of a cell are its blocks.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import time
from collections.abc import Callable
from typing import Any

import psutil
from asv_runner.benchmarks.mark import SkipNotImplemented

from datasets_impl.allocator import keep_freed_memory
from datasets_impl.observe.log import observe
from datasets_impl.observe.page_cache import Unsupported

from .grids import GRID, Cell

Measured = tuple[float, dict[str, Any]]  # the value and the verified state it was measured in


class _Benchmark:
    rounds = GRID.rounds
    timeout = 900
    version = "1"  # raise it when the meaning of a number changes, here or in measure.py
    param_names: list[str] = []
    needs_corpus = True  # False: its samples are made up, no photographs are built for it

    def measured(self, levels: tuple[Any, ...], measure: Callable[[Cell], Measured]) -> Any:
        """Measure one cell, log the state it was measured in, and hand asv the sample.

        Raises:
            SkipNotImplemented: this machine cannot provide the cell; the log says why.
        """
        record: dict[str, Any] = {
            "benchmark": f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}",
            "factors": dict(zip(self.param_names, levels, strict=True)),
            "load_before": round(os.getloadavg()[0], 2),
            "freed_memory_kept": keep_freed_memory(),
        }
        steal, start = _steal(), time.perf_counter()
        try:
            value, state = measure(Cell.at(self.param_names, levels))
        except Unsupported as reason:
            observe({**record, "skipped": str(reason)})
            raise SkipNotImplemented(str(reason)) from reason
        except Exception as error:
            observe({**record, "failed": f"{type(error).__name__}: {error}"})
            raise
        finally:
            _finish_multiprocessing()
        seconds = time.perf_counter() - start
        stolen = round((_steal() - steal) / seconds, 4)
        observe({**record, "value": value, "seconds": round(seconds, 3), "steal": stolen, **state})
        return {"samples": [value], "number": 1}


def _finish_multiprocessing() -> None:
    """End workers and remove the folder of their sockets.

    asv ends this process without its exit handlers, which would do it; the process may also go on
    measuring, so multiprocessing must not believe that it is exiting.
    """
    for worker in multiprocessing.active_children():
        worker.terminate()
        worker.join()
    multiprocessing.util._run_finalizers()
    multiprocessing.current_process()._config.pop("tempdir", None)


def _steal() -> float:
    """Seconds of CPU time other guests took from this machine so far (0 where unknown)."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
