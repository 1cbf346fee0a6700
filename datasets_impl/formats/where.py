"""Where shards are written: by an executor, by processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, CancelledError
from typing import Any, NamedTuple

from datasets_impl.errors import StudyError
from datasets_impl.files.paths import current_folder, socket_too_deep
from datasets_impl.formats.cluster import connected
from datasets_impl.formats.places import Place
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.shards import Converted, Submit, convert_shards
from datasets_impl.formats.workers import CONTEXT, UNGUARDED, submitting
from datasets_impl.system.scheduler import FIRST_LOOKS, LOOKS, NoScheduler, NoWorkers

POOLS = 3  # of workers that may break, or be lost, before it is given up


def _said_by(error: Exception) -> str:
    """The last line, where the text is a traceback of another process."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class Conversion(NamedTuple):
    """Pictures that become a set, here or elsewhere, whoever dies meanwhile."""

    plan: Plan
    format: str
    place: Place
    size: int | None
    told: Any

    def by(self, submit: Submit) -> Converted:
        return convert_shards(
            self.plan, self.format, self.place, submit, size=self.size, progress=self.told
        )

    def by_executor(self, executor: Any) -> Converted:
        try:
            return self.by(executor.submit)
        except Exception as error:  # in whichever words an executor has for it
            inner = getattr(error, "cause", None) or error  # Ray's own text is a whole traceback
            if isinstance(inner, StudyError):
                raise inner from None
            guard = (
                f"; if it starts processes, {UNGUARDED}"
                if isinstance(error, BrokenExecutor)
                else ""
            )
            raise StudyError(
                f"The executor cannot go on ({_said_by(inner)}); what was written is kept: run it "
                f"again with another one{guard}."
            ) from error

    def locally(self, workers: int) -> Converted:
        """A worker that is killed takes its pool with it; another pool goes on."""
        for _ in range(POOLS):
            try:
                begun = CONTEXT.Semaphore(0)
                with submitting(workers, begun) as submit:
                    return self.by(submit)
            except StudyError:
                raise
            except AssertionError as error:  # of a daemon
                raise StudyError(
                    f"Workers cannot be started here ({error}), as in a worker of a `DataLoader`; "
                    "give an executor, such as a ThreadPoolExecutor."
                ) from error
            except BrokenExecutor as error:
                if not begun.acquire(block=False):
                    raise StudyError(
                        "The workers ended when they read the program again, as each does first; "
                        f"{UNGUARDED}."
                    ) from error
            except (EOFError, OSError, RuntimeError) as error:  # of `multiprocessing`
                current_folder()  # in which they begin
                remedy = socket_too_deep(error)
                why = getattr(error, "strerror", None) or "no process or thread is left"
                why = str(error) if remedy else why
                raise StudyError(
                    f"The workers cannot be started ({why}); "
                    f"{remedy or 'raise that limit, or take fewer'}."
                ) from error
        raise StudyError(
            f"Workers were ended {POOLS} times, perhaps for want of memory; what was written is "
            "kept: run it again with fewer workers, or smaller shards."
        )

    def by_dask(self, address: str) -> Converted:
        """A scheduler that did not answer for a while has forgotten what it was asked for."""
        lost: Exception | None = None
        for _ in range(POOLS):
            try:
                with connected(address, LOOKS if lost else FIRST_LOOKS) as submit:
                    return self.by(submit)
            except (OSError, CancelledError) as error:
                lost = error
            except NoWorkers as error:
                raise StudyError(
                    f"The cluster at {address} has no workers ({error}); what was written is kept: "
                    f"start some with `dask worker {address}`, and run it again."
                ) from error
            except NoScheduler as error:
                if lost is None:
                    raise
                lost = error
                break
            except StudyError:
                raise
            except Exception as error:  # Dask's own, of a worker that cannot
                lost = error
                break
        raise StudyError(
            f"The cluster at {address} was lost or could not go on "
            f"({type(lost).__name__}: {lost}); what was written is kept: run it again."
        ) from lost
