"""What a reader imports from the top of the package, what that costs and what it tells."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import datasets_impl
from datasets_impl.errors import MissingPackage

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
SOURCES = {path: path.read_text() for path in (ROOT / "datasets_impl").rglob("*.py")}


def in_a_new_process(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys, importlib, typing, __future__; before = set(sys.modules); "
        "import datasets_impl; dir(datasets_impl); print(*set(sys.modules) - before)"
    )
    assert in_a_new_process(code).split() == ["datasets_impl"]


def test_every_name_is_found_listed_and_seen_by_type_checkers() -> None:
    seen = re.findall(r"^    from .* import (\w+) as \1$", inspect.getsource(datasets_impl), re.M)
    assert sorted(seen) == sorted(datasets_impl.__all__)
    for name in datasets_impl.__all__:
        assert getattr(datasets_impl, name).__name__ == name and name in dir(datasets_impl)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = datasets_impl.Nothing


def test_what_is_no_module_is_installed_with_the_package() -> None:
    """`py.typed` among it, by which type checkers know that the annotations are meant for them."""
    found = {
        str(path.relative_to(ROOT))
        for home, names in SETTINGS["tool"]["setuptools"]["package-data"].items()
        for name in names
        for path in (ROOT / home.replace(".", "/")).glob(name)
    }
    files = [path for path in (ROOT / "datasets_impl").rglob("*.*") if path.suffix != ".py"]
    others = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert found == others and "datasets_impl/py.typed" in found


def test_a_name_is_loaded_once() -> None:
    code = (
        "import datasets_impl; first = datasets_impl.StudyError; "
        "print('StudyError' in vars(datasets_impl), datasets_impl.StudyError is first)"
    )
    assert in_a_new_process(code).split() == ["True", "True"]


def test_no_name_brings_what_only_prints() -> None:
    """A terminal's colours and bars are imported where something is printed."""
    code = (
        "import sys, datasets_impl\n"
        "for name in datasets_impl.__all__: getattr(datasets_impl, name)\n"
        "print(*(name for name in sys.modules if name.partition('.')[0] == 'rich'))"
    )
    assert in_a_new_process(code).split() == []


@pytest.mark.parametrize("name", datasets_impl.__all__)
def test_help_shows_every_argument(name: str) -> None:
    """And the docstring of a loader says what each is."""
    found = getattr(datasets_impl, name)
    if name == "StudyError":
        return
    given = inspect.signature(found).parameters
    kinds = {each.kind for each in given.values()}
    assert kinds.isdisjoint({inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL})
    if name.endswith("Loader"):
        assert [each for each in given if not re.search(rf"\b{each}\b", found.__doc__)] == []


def test_an_extra_that_is_named_exists() -> None:
    """In the sentence for a missing package, and wherever else a command installs this folder."""
    texts = [*SOURCES.values(), (ROOT / "README.md").read_text()]
    named = {
        extra
        for text in texts
        for line in re.findall(r"<this folder>\[([\w,]+)\]", text)
        for extra in line.split(",")
    }
    assert named <= set(PROJECT["optional-dependencies"])
    assert str(MissingPackage.of("This", "lmdb", "stores")) == (
        "This needs the package 'lmdb': pip install '<this folder>[stores]'."
    )


def test_extras_bring_what_the_tests_are_pinned_to() -> None:
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"]
    wanted = [*extras["dev"], *extras["cluster"]]
    assert pinned <= {canonicalize_name(Requirement(one).name) for one in wanted}
