"""What a sample writes, left out: what that costs, and whether the sample is the same without."""

from __future__ import annotations

import builtins
import logging
import os
import sys
from collections.abc import Callable
from io import IOBase
from pathlib import Path
from types import TracebackType
from typing import Any

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed, used_by

CAUSES = ("writing", "encoding pictures", "pickling", "reopens", "opening")
WRITES = set("wax+")  # in the mode of a file
QUIET = (  # of a module, functions that write and give nothing that is used
    ("builtins", "print"), ("os", "fsync"), ("os", "fdatasync"),
    ("numpy", "save"), ("numpy", "savez"), ("numpy", "savez_compressed"), ("numpy", "savetxt"),
    ("torch", "save"), ("cv2", "imwrite"),
)  # fmt: skip
LOGGED = ("debug", "info", "warning", "error", "log")
LINES = """# not in __getitem__: gather what is told, and write it once an epoch in the trainer
with open(path, "a") as file:
    file.writelines(lines)"""


class Nowhere:
    """A file that keeps nothing."""

    closed, name = False, os.devnull

    def __init__(self, called: set[str], what: str) -> None:
        """`called` is told `what` was written to."""
        self.called, self.what = called, what

    def write(self, data: Any) -> int:
        self.called.add(self.what)
        return len(data)

    def writelines(self, lines: Any) -> None:
        self.called.add(self.what)

    def flush(self) -> None:
        """The same."""

    def close(self) -> None:
        """It may be written to again."""

    def fileno(self) -> int:
        return -1

    def tell(self) -> int:
        return 0

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        """Errors are the user's."""


class _Left:
    """Makes what stands in for functions that write, and knows which of these were called."""

    def __init__(self) -> None:
        self.called: set[str] = set()

    def out(self, callee: Callee) -> Callable[..., Any]:
        def nothing(*_: Any, **__: Any) -> bool:
            self.called.add(callee.name)
            return True

        return for_users(callee, nothing)

    def opened(self, callee: Callee, before: int) -> Callable[..., Any]:
        """`before`: arguments that come before the mode."""
        original = callee.function

        def opened(*given: Any, **options: Any) -> Any:
            mode = options.get("mode", given[before] if len(given) > before else "r")
            if not (isinstance(mode, str) and WRITES & set(mode)):
                return original(*given, **options)
            self.called.add(callee.name)
            return Nowhere(self.called, callee.name)

        return for_users(callee, opened)


def unwritten(at: Context) -> list[Remedy]:
    """Only where samples are the same without."""
    if not set(CAUSES) & set(at.found):
        return []
    left = _Left()
    pairs: list[Any] = [(one, left.out(one)) for one in _writers()]
    for one, before in (
        (Callee("open", builtins, "open"), 1),
        (Callee("Path.open", Path, "open"), 1),
    ):
        pairs.append((one, left.opened(one, before)))
    pairs += [(one, Nowhere(left.called, one.name)) for one in _held(at)]
    if not used_by(Instead(at.part, pairs), left.called):
        return []
    # Only what is called: to put something in the place of all of them takes its time.
    made = Instead(at.part, [pair for pair in pairs if pair[0].name in left.called])
    if not unharmed(at, made):
        return []
    return [
        Remedy(
            "unwritten",
            "Write nothing while a sample is read",
            LINES,
            made,
            at.subject.workers,
            caution="what it writes now is then written elsewhere, or not at all",
            mends=CAUSES,
        )
    ]


def _writers() -> list[Callee]:
    found = [Callee(f"{home}.{name}", sys.modules[home], name)
             for home, name in QUIET if hasattr(sys.modules.get(home), name)]  # fmt: skip
    found += [Callee(f"Path.{name}", Path, name) for name in ("write_text", "write_bytes")]
    for owner in (logging, logging.Logger):
        found += [Callee(f"{owner.__name__}.{name}", owner, name) for name in LOGGED]
    return found


def _held(at: Context) -> list[Callee]:
    """Files that the dataset keeps open to write to them."""
    return [
        Callee(name, holder, name)
        for _, holder, _ in parts(at.subject.dataset)
        for name, value in (attribute(holder, "__dict__") or {}).items()
        if isinstance(value, IOBase) and WRITES & set(str(attribute(value, "mode", "")))
    ]
