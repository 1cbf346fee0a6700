"""What asv's files say of where a result was measured, so that its pages can tell results apart.

asv knows the interpreter that a session runs in by its path, and no library in it. The provenance
beside each result says more, and what asv has fields for is taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asv import util

from datasets_impl.errors import StudyError
from scripts.judging.runs import REPEAT
from scripts.root import ASV_CONFIG, ROOT

Facts = Mapping[str, Any]  # a result's provenance
LIBRARIES = ("torch", "torchvision", "numpy", "pillow")  # whose versions decide what is measured


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
