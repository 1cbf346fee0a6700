"""Virtual environments with this project in them, as `pip install '<this folder>[extras]'` leaves.

`like_installed` takes seconds and downloads nothing: a fresh virtual environment gets what pip made
of the project (`built`, once for all), and links to those packages of the running environment that
pip would have brought, and to no others. `installed` asks pip for all of it: minutes and gigabytes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections import defaultdict
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "datasets_impl")  # to build the project


def built(folder: Path) -> None:
    """Fill `folder` with what pip installs of this project, from a copy of it."""
    source = folder / "source"
    source.mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    _run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--target", folder / "installed", source]
    )  # fmt: skip


def like_installed(folder: Path, extras: Iterable[str], project: Path) -> Path:
    """The interpreter of a virtual environment in `folder`, with what pip would have brought.

    `project` was filled by `built`.
    """
    python = _empty(folder)
    packages = _site_packages(python)
    _link(packages, _brought(extras))
    shutil.copytree(project / "installed", packages, dirs_exist_ok=True)
    return python


def installed(folder: Path, extras: Iterable[str]) -> Path:
    """The interpreter of a virtual environment in `folder`, filled by pip alone."""
    python, wanted = _empty(folder), ",".join(extras)
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
          f"{ROOT}[{wanted}]" if wanted else ROOT])  # fmt: skip
    return python


def _empty(folder: Path) -> Path:
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def _site_packages(python: Path) -> Path:
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.check_output(asked, text=True).strip())


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _brought(extras: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Every distribution that the project needs with these extras, by its canonical name.

    A requirement that the running environment does not meet fails the test that asks.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    for extra in extras:
        waiting += map(Requirement, project["optional-dependencies"][extra])
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = metadata.distribution(name)
            assert wanted.specifier.contains(found[name].version, prereleases=True), wanted
            waiting += [
                inner
                for inner in map(Requirement, found[name].requires or ())
                if inner.marker is None or inner.marker.evaluate({"extra": extra})
            ]
    return found


def _link(packages: Path, wanted: dict[str, metadata.Distribution]) -> None:
    """Link what these distributions own into `packages`: whole folders where nobody shares them."""
    home = Path(sysconfig.get_path("purelib"))
    owners: dict[str, set[str]] = defaultdict(set)  # of every file and folder, two levels deep
    for distribution in metadata.distributions(path=[str(home)]):
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts[:2]:
                owners[file.parts[0]].add(name)
                owners["/".join(file.parts[:2])].add(name)
    for path in sorted(path for path in owners if "/" not in path):
        if owners[path] <= wanted.keys():
            (packages / path).symlink_to(home / path)
        elif owners[path] & wanted.keys():
            (packages / path).mkdir()
            for inner in (inner for inner in owners if re.match(f"{re.escape(path)}/", inner)):
                if owners[inner] & wanted.keys():
                    (packages / inner).symlink_to(home / inner)
