"""One probe in a process of its own: whatever the user's code does, the doctor goes on.

Run as `python -m datasets_impl.doctor.child REQUEST ANSWER`, both JSON files. What the user's code
prints goes to the error output. Shortly before its time is up it writes where every thread stands.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

GRACE = 2.0  # seconds that a probe gets beyond its time, to end by itself


class ProbeFailed(Exception):
    """A probe that gave no answer; the message is a sentence for the user."""


def ask(target: str, kwargs: dict[str, Any], probe: str, seconds: float, **options: Any) -> Any:
    """The answer of a probe.

    Raises:
        ProbeFailed: it raised, hung, or its process died; the message says which, and where.
    """
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        request, answer, stacks = (Path(folder) / name for name in ("request", "answer", "stacks"))
        request.write_text(
            json.dumps(
                {"target": target, "kwargs": kwargs, "probe": probe, "seconds": seconds,
                 "stacks": str(stacks), "options": options}
            )
        )  # fmt: skip
        child = subprocess.Popen(
            [sys.executable, "-m", "datasets_impl.doctor.child", str(request), str(answer)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _, said = child.communicate(timeout=seconds + GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise ProbeFailed(f"it took longer than {seconds:.0f} s{_where(stacks)}") from None
        except BaseException:  # interrupted: nothing is left running
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            _end_group(child.pid)
        if not answer.exists():
            raise ProbeFailed(_death(child.returncode, said))
        found = json.loads(answer.read_text())
        if "error" in found:
            raise ProbeFailed(found["error"])
        return found["answer"]


def _end_group(pid: int) -> None:
    """Workers that a dead probe left behind."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _where(stacks: Path) -> str:
    """The innermost line that the stack dump names, outside of this package and the libraries."""
    try:
        lines = stacks.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        if line.strip().startswith("File ") and "site-packages" not in line and "/lib/python" not in line:
            return f"; it stood at {line.strip().removeprefix('File ')}"
    return ""


def _death(code: int, said: str) -> str:
    last = said.strip().splitlines()[-1:] or [""]
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}: {last[0]}"


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text())
    with open(request["stacks"], "w") as stacks:
        faulthandler.dump_traceback_later(request["seconds"], file=stacks)
        try:
            found = {"answer": _answered(request)}
        except BaseException as error:
            own = traceback.extract_tb(error.__traceback__)
            place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
            found = {"error": f"{type(error).__name__}: {error}{place}"}
        faulthandler.cancel_dump_traceback_later()
    Path(arguments[1]).write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads and workers of the user's


def _answered(request: dict[str, Any]) -> Any:
    from datasets_impl.doctor.probes import PROBES
    from datasets_impl.doctor.target import load

    subject = load(request["target"], request["kwargs"])
    return PROBES[request["probe"]](subject, request["seconds"], **request["options"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
