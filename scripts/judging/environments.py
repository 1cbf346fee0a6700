"""Environments: the Python and the torch that results were measured with.

Numbers of one environment are never joined with those of another. Claims are judged over the
reference environment of each machine; the verdicts of the others stand beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.judging.readable import readable

REFERENCE_PYTHON = "3.11"  # of the committed results


@dataclass(frozen=True)
class Environment:
    """Releases without their patches, such as "3.11" and "2.14"; "" where asv does not know."""

    python: str
    torch: str

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Environment:
        """From what an asv result says in `params`."""
        return cls(
            *(_release(readable(str(params.get(name) or ""))) for name in ("python", "torch"))
        )

    @classmethod
    def told(cls, provenance: Mapping[str, Any]) -> Environment:
        """From the provenance beside a result; the same that the result itself gives."""
        python = provenance.get("machine", {}).get("python")
        return cls.of({"python": python, "torch": provenance.get("versions", {}).get("torch")})

    def __str__(self) -> str:
        told = (("Python", self.python), ("torch", self.torch))
        return ", ".join(f"{name} {version}" for name, version in told if version)


def reference(environments: Iterable[Environment]) -> Environment:
    """The newest torch on the Python of the committed results, or on the newest where none is."""
    return max(
        environments,
        key=lambda one: (
            one.python == REFERENCE_PYTHON,
            _numbers(one.python),
            _numbers(one.torch),
            one.python,
        ),
    )


def _release(version: str) -> str:
    """Its first two numbers, and the "t" of a Python without the global lock."""
    found = re.match(r"\d+(?:\.\d+)?", version)
    return found[0] + ("t" if version.endswith("t") else "") if found else version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d{1,9}", version))
