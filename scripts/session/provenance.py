"""What a reader must know about where numbers come from: machine, versions, code, corpus, load."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from asv.machine import Machine

from datasets_impl.errors import StudyError
from datasets_impl.files.paths import cache_dir
from datasets_impl.media.workspaces import filesystem
from datasets_impl.observe import load
from datasets_impl.system.left_out import left_out
from scripts.judging.claims import load_claims
from scripts.root import CLAIMS, ROOT
from scripts.session.interpreter import gil, python

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "asv",
    "asv_runner",
    "scikit-image",
    "psutil",
)
# Measured only where they are installed: named then, and not called missing otherwise.
OPTIONAL_PACKAGES = ("fsspec", "moto", "s3fs")
CPUS = Path("/sys/devices/system/cpu")
OF_ANOTHER_REPOSITORY = {  # git sets some for its hooks; by all it would look elsewhere
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
}
# What a user may have set for himself, and would change what a command says or which files it sees.
SETTINGS = (
    "core.fsmonitor=false",
    "core.quotePath=false",
    f"core.attributesFile={os.devnull}",
    "color.ui=false",
    "diff.relative=false",
    "submodule.recurse=false",
)
MEASURED_CODE = ("datasets_impl", "benchmarks", "asv.conf.json", "requirements.txt")


def own_environment() -> dict[str, str]:
    """This process's environment, in which git finds the repository of the folder it runs in."""
    return {name: os.environ[name] for name in os.environ.keys() - OF_ANOTHER_REPOSITORY}


def git(*arguments: str) -> str:
    """Output of a git command in the project, whatever the user's configuration says.

    Raises:
        StudyError: this is no git checkout, or git is missing.
    """
    try:
        done = subprocess.run(
            ["git", *(word for each in SETTINGS for word in ("-c", each)), *arguments],
            cwd=ROOT,
            env={**own_environment(), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",  # names and code need not be UTF-8
        )
    except OSError as error:
        raise StudyError(
            f"Which commit is measured is asked of git, and git cannot be run ({error.strerror})"
            "; install git."
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        if any("dubious ownership" in line for line in said):
            raise StudyError(
                f"{ROOT} belongs to another user, so git does not read it; run it as that user, or "
                f"`git config --global --add safe.directory {shlex.quote(str(ROOT))}`."
            ) from error
        raise StudyError(
            "The study records which commit it measures, so it must run in a git clone with at "
            "least one commit; clone the project with git"
            + (f" (git says: {said[0]})." if said else ".")
        ) from error
    return done.stdout.strip()


def code_state() -> dict[str, Any]:
    """Commit, whether the measured code differs from it, and a hash of that code as it stands.

    Raises:
        StudyError: see `git`; or the project lies in somebody else's repository.
    """
    top = Path(git("rev-parse", "--show-toplevel"))
    if not top.samefile(ROOT):
        raise StudyError(
            f"The study records which commit it measures, and {ROOT} is no git clone but a folder "
            f"of the repository {top}; clone the project with git."
        )
    digest = hashlib.sha256()
    tracked, beside = _listed("-c"), _untracked()
    for name in [*tracked, *beside]:
        path = ROOT / name
        if path.is_file():
            digest.update(os.fsencode(name) + b"\0" + path.read_bytes())
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *MEASURED_CODE)
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(changed or beside or _unseen()),
        "hash": digest.hexdigest()[:16],
    }


def _unseen() -> bool:
    """Whether a measured file that git is told not to look at (`git update-index
    --assume-unchanged`, `--skip-worktree`) differs from the one that is committed."""
    flagged = [line[2:] for line in _listed("-v") if line[0].islower() or line[0] == "S"]
    return any(
        git("hash-object", "--path", name, "--", name) != git("rev-parse", f":{name}")
        for name in flagged
        if (ROOT / name).is_file()
    )


def _untracked() -> list[str]:
    """Measured files that are in no commit: Python is imported also where only the user's own
    list of what git ignores has it."""
    ignored = _listed("-o", "--exclude-per-directory=.gitignore")
    python = [name for name in ignored if name.endswith(".py")]
    return sorted({*_listed("-o", "--exclude-standard"), *python})


def _listed(*options: str) -> list[str]:
    """Files of the measured code, as they are named: with -z nothing is quoted."""
    listed = git("ls-files", "-z", *options, "--", *MEASURED_CODE)
    return [name for name in listed.split("\0") if name]


def claims_hash() -> str:
    """The hash of the rules in `claims.toml` as it stands."""
    return load_claims(CLAIMS).rules_hash


def machine_name() -> str:
    """A name for this machine that does not give away its host name, such as "amd-epyc-2-cores"."""
    defaults = Machine.get_defaults()
    cpu = re.sub(r"\(.*?\)|CPU|Processor|@.*", " ", defaults.get("cpu") or platform.machine())
    text = f"{cpu} {psutil.cpu_count() or 1} cores"
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def load_now() -> dict[str, Any]:
    """Time and load at this moment."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": [round(value, 2) for value in os.getloadavg()],
        "available_gb": round(psutil.virtual_memory().available / 1e9, 1),
    }


def collect(
    session: Mapping[str, Any], environment: Mapping[str, str], corpora: Path
) -> dict[str, Any]:
    """Everything about a finished session that its asv result does not say itself.

    `corpora` is the file of manifests that building the corpora left.
    """
    code = session["code"]
    return {
        "commit": code["commit"],
        "dirty": code["dirty"],
        "code_hash": code["hash"],
        "claims_hash": session["claims_hash"],
        "profile": session["key"]["profile"],
        "partial": bool(session["key"]["bench"]),
        "bench": session["key"]["bench"],
        "rounds": session["rounds"],
        "machine": _machine_facts(),
        "versions": versions(),
        "left_out": left_out(),
        "settings": {
            name: environment[name]
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")
        },
        "corpora": json.loads(corpora.read_text()),
    }


def here(profile: str) -> dict[str, Any]:
    """Of what `collect` says, that which names an environment."""
    return {"profile": profile, "machine": {"python": python()}, "versions": versions()}


def processor() -> dict[str, Any]:
    """What tells one machine's results from another's."""
    return {"cpu": Machine.get_defaults().get("cpu", ""), "threads": psutil.cpu_count()}


def _machine_facts() -> dict[str, Any]:
    disk = cache_dir()
    return {
        **processor(),
        "cores": psutil.cpu_count(logical=False),
        "max_mhz": _max_mhz(),
        "mhz": load.frequency(),
        "governor": _governor(),
        "caches": _caches(),
        "ram_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "arch": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "disk_filesystem": filesystem(disk),
        "disk_device": _device_kind(disk),
        "python": python(),
        "gil": gil(),
        "gpu": _gpu(),
    }


def _max_mhz() -> int | None:
    """The CPU's highest frequency; its current one where no limit is told, as on virtual CPUs."""
    try:
        told = psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError, RuntimeError, ValueError):
        return None
    return round(told.max or told.current) if told else None


def _governor() -> str:
    """The kernel's policies for CPU frequency, "" where it tells none, as on virtual CPUs."""
    found = set()
    for path in CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        try:
            found.add(path.read_text().strip())
        except OSError:
            continue  # that CPU is offline
    return ", ".join(sorted(found))


def _caches() -> str:
    levels = []
    for index in sorted((CPUS / "cpu0" / "cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue  # not every kernel tells every level
        levels.append(f"L{level} {kind.lower()} {size}")
    return ", ".join(levels)


def _device_kind(path: Path) -> str:
    """What the kernel says of the device below `path`: rotational or not; "" if it does not say."""
    device = os.stat(path).st_dev  # noqa: PTH116 - the device number is what is asked for
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    for folder in (block, block.parent):
        try:
            rotational = (folder / "queue" / "rotational").read_text().strip() == "1"
        except OSError:
            continue  # a partition has no queue of its own: its parent has
        # Virtual disks often call themselves rotational, so the device is named beside it.
        kind = "rotational" if rotational else "not rotational"
        return f"{folder.name}, says it is {kind}"
    return ""


def versions() -> dict[str, str]:
    """Versions of everything that takes part in a measurement."""
    from PIL import features

    found = {}
    for name in (*PACKAGES, *OPTIONAL_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in PACKAGES:
                found[name] = "not installed"
    turbo = features.version("libjpeg_turbo")
    found["libjpeg in Pillow"] = f"libjpeg-turbo {turbo}" if turbo else "libjpeg"
    return found


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
