"""asv's files: how it names them, and what they say of where a result was measured.

Its pages tell results apart by that. asv knows the interpreter that a session runs in by its path,
and no library in it. The provenance beside each result says more, and what asv has fields for is
taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import asv
from asv import util

from datasets_impl.errors import StudyError
from scripts.judging.runs import REPEAT
from scripts.root import ASV_CONFIG, ROOT

Facts = Mapping[str, Any]  # a result's provenance
LIBRARIES = ("torch", "torchvision", "numpy", "pillow")  # whose versions decide what is measured

RESULT = re.compile(r"benchmarks\.json|[^/]+/(machine|[0-9a-f]{8}-[^/]+)\.json")
LIST = "study-pages.json"  # beside asv's pages: which files they are
WRITTEN = {"index.json", "info.json", "regressions.json", "regressions.xml", LIST}


def inside(folder: Path) -> Iterator[PurePath]:
    """The files below a folder, links among them, by where they stand in it."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder)


def is_result(name: PurePath) -> bool:
    """Whether `asv run` names a file so, in its folder of results."""
    return bool(RESULT.fullmatch(str(name)))


def is_page(name: PurePath) -> bool:
    """Whether `asv publish` names a file so, in its folder of pages, which may be half made."""
    graph = name.parts[0] == "graphs" and name.suffix == ".json"
    return graph or str(name) in WRITTEN | _copied()


@cache
def _copied() -> set[str]:
    """What asv's pages have from asv itself."""
    return {str(name) for name in inside(Path(asv.__file__).parent / "www")}


def settings() -> dict[str, Any]:
    """The project's own configuration of asv.

    Raises:
        StudyError: it cannot be read, or does not name the project.
    """
    try:
        found: dict[str, Any] = util.load_json(str(ASV_CONFIG), js_comments=True)
        if not isinstance(found["project"], str):
            raise TypeError("its project is no text")
    except (
        LookupError, OSError, RecursionError, TypeError, ValueError, util.UserError
    ) as error:  # fmt: skip
        raise StudyError(
            f"{ASV_CONFIG} cannot be used ({' '.join(str(error).split())[:200]}); mend it, or "
            f"restore it with `git checkout -- {ASV_CONFIG.name}`."
        ) from error
    return found


def machine(name: str, facts: Facts) -> dict[str, str]:
    """What asv's `machine.json` says, without what the provenance does not know."""
    known = facts["machine"]
    told = {
        "machine": name,
        "os": known.get("kernel"),
        "cpu": known.get("cpu"),
        "num_cpu": known.get("threads"),
        "ram": f"{known['ram_gb']} GB" if known.get("ram_gb") else None,
    }
    return {field: str(value) for field, value in told.items() if value}


def environment_name(facts: Facts, repeat: bool) -> str:
    """Environment and profile, for example "existing-py3.11-standard"; a second run's ends in
    REPEAT."""
    return f"existing-{environment(facts)}-{facts['profile']}{REPEAT if repeat else ''}"


def environment(facts: Facts) -> str:
    """Python, and torch where it is not the one that is pinned, for example "py3.11-torch2.9.1"."""
    torch = str(facts["versions"].get("torch", "")).partition("+")[0]
    pinned = re.search(r"(?m)^torch==(\S+)", (ROOT / "requirements.txt").read_text())
    usual = not torch[:1].isdigit() or (pinned and pinned[1] == torch)
    return f"py{_python(facts)}" + ("" if usual else f"-torch{torch}")


def result(data: Mapping[str, Any], facts: Facts, repeat: bool) -> dict[str, Any]:
    """asv's result file `data` with machine, Python, libraries and environment from `facts`."""
    versions = facts["versions"]
    libraries = {name: versions[name] for name in LIBRARIES if name in versions}
    python = _python(facts)
    return {
        **data,
        "env_name": environment_name(facts, repeat),
        "params": {**machine(data["params"]["machine"], facts), "python": python, **libraries},
        "python": python,
        "requirements": libraries,
    }


def _python(facts: Facts) -> str:
    """Its version as asv writes it, such as "3.11", or "3.14t" without the global lock."""
    version = str(facts["machine"]["python"])
    return ".".join(version.split(".")[:2]) + ("t" if version.endswith("t") else "")
