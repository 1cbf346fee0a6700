"""What README and CONTRIBUTING tell a reader to run does run, after what they tell to install.

    DATASET_STUDY_TEST_BY_PIP=1 python -m pytest tests/test_readme.py

fills the environments with pip and from the network, in minutes, as a reader does.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from datasets_impl import loaders
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from tests import environments

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
TEXT = README + (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLE = r"\n\n((?: {4}[^\n]*\n|\n)+)"  # an indented block of a docstring
INSTALL = re.compile(r"pip install '?<this folder>(?:\[([\w,]+)\])?")
BY_PIP = "DATASET_STUDY_TEST_BY_PIP"
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)
# What a reader is told to run with options, and the module whose `main` it is.
COMMANDS = {
    "datasets_impl.convert": "datasets_impl.convert",
    "datasets_impl.doctor": "datasets_impl.doctor.__main__",
    "render_report.py": "scripts.render_report",
    "make standard": "scripts.study",
    "scripts.compare": "scripts.compare",
    "asv run": "asv.main",
    "asv machine": "asv.main",
    "asv publish": "asv.main",
}


def examples() -> list[tuple[tuple[str, ...], str]]:
    """The Python blocks of README and `loaders`, and the extras of the install line above each."""
    found = []
    for text, pattern in ((README, r"```python\n(.*?)```"), (loaders.__doc__ or "", EXAMPLE)):
        for block in re.finditer(pattern, text, re.DOTALL):
            line = INSTALL.findall(text[: block.end()])[-1]
            found.append((tuple(filter(None, line.split(","))), dedent(block[1])))
    return found


@pytest.fixture
def environment(
    tmp_path: Path, shared: Callable[..., Path]
) -> Iterator[Callable[[tuple[str, ...]], Path]]:
    """Gives the interpreter of an environment with these extras; gone after the test."""

    def filled(extras: tuple[str, ...]) -> Path:
        if os.environ.get(BY_PIP):
            return environments.installed(tmp_path / "environment", extras)
        project = shared("project", environments.built)
        return environments.like_installed(tmp_path / "environment", extras, project)

    yield filled
    shutil.rmtree(tmp_path / "environment")


def alone() -> dict[str, str]:
    """The environment variables without those that show Python this folder."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("extras", "code"), examples(), ids=["datasets and loaders", "stored"])
def test_an_example_runs_as_it_stands(
    extras: tuple[str, ...],
    code: str,
    environment: Callable[[tuple[str, ...]], Path],
    session_cache: Path,
    tmp_path: Path,
) -> None:
    corpus = ensure_corpus(CorpusSpec(8, 256), cache=session_cache)
    for number, path in enumerate(sorted(corpus.root.rglob("*.jpg"))):  # a folder for each class
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "photos" / "ab"[number % 2])
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run(
        [environment(extras), "example.py"],
        cwd=tmp_path, env=alone(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_doctor_runs_after_its_install_line(
    environment: Callable[[tuple[str, ...]], Path], folder: Path, tmp_path: Path
) -> None:
    """As it stands there, with a budget that ends soon; what it finds is tested elsewhere."""
    section = next(part for part in SECTIONS if "datasets_impl.doctor TARGET" in part)
    extras = INSTALL.findall(section)[0]
    done = subprocess.run(
        [environment((extras,)), "-m", "datasets_impl.doctor", folder, "--budget", "10",
         "--out", tmp_path / "page"],
        cwd=tmp_path, env=alone(), capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1) and list((tmp_path / "page").iterdir()), done.stderr


# What runs after `pip install '<this folder>'` without an extra, and what names the one it lacks.
BARE = """
import sys
import datasets_impl
from datasets_impl import *
for name in datasets_impl.__all__:
    getattr(datasets_impl, name)
print(PreloadedDataset("photos")[0].shape, CachedDataset(JpegDataset("photos"))[0].shape)
print(ReadOnlyMappedDataset("photos")[0].shape, DecodedImages("photos", decode_with="pil")[0].shape)
pack = StoredPixels(ensure_stored("photos", "pixels", "pack"))
print(next(iter(ThreadedLoader(pack, 8, where="trainer"))).shape)
for lacking in (
    "from datasets_impl.doctor import watch",
    "DecodedImages('photos', decode_with='simplejpeg')",
    "ensure_stored('photos', 'jpeg', 'lmdb')",
):
    try:
        exec(lacking)
    except ImportError as error:
        print(error, file=sys.stderr)
"""
LACKING = [
    ("doctor", ["datasets_impl.doctor", "photos"]),
    ("study", ["datasets_impl.corpus", "--count", "8"]),
    ("cluster", ["datasets_impl.convert", "photos", "packed", "--on", "tcp://127.0.0.1:1"]),
]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_without_extras_datasets_and_loaders_run_and_the_rest_names_its_extra(
    environment: Callable[[tuple[str, ...]], Path], session_cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(
        ensure_corpus(CorpusSpec(8, 256), cache=session_cache).root, tmp_path / "photos"
    )
    python = environment(())

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [python, *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**alone(), "DATASET_STUDY_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
        return done.returncode, done.stderr

    code, said = run("-c", BARE)
    assert code == 0, said
    sentences = said.strip().splitlines()[-3:]
    for extra, sentence in zip(("doctor", "loaders", "stores"), sentences, strict=True):
        assert f"pip install '<this folder>[{extra}]'" in sentence, said
    code, said = run("-m", "datasets_impl.convert", "photos", "packed")
    assert code == 0, said
    for extra, arguments in LACKING:
        code, said = run("-m", *arguments)
        assert code == 2 and said.count("\n") == 1, said
        assert f"pip install '<this folder>[{extra}]'" in said


def test_what_needs_another_extra_says_which() -> None:
    """What README tells to use after an install line, and that line does not bring."""
    named = re.findall(r"\(extra `(\w+)`\)", README)
    assert named == ["doctor", "cluster"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(named) <= set(project["optional-dependencies"])


def test_the_readme_is_a_page() -> None:
    """About 1,200 words, as a reader sees them."""
    shown = re.sub(r"<!--.*?-->|```.*?```|\]\([^)]*\)", "", README, flags=re.DOTALL)
    assert len([word for word in shown.split() if re.search(r"\w", word)]) <= 1200


def targets() -> list[str]:
    return sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.MULTILINE)))


@pytest.mark.parametrize("target", targets())
def test_a_target_of_make_is_there(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, env=alone()
    )
    assert done.returncode == 0, done.stderr


def test_variables_of_make_are_read() -> None:
    given = set(re.findall(r"\bmake [a-z]+[^`\n]*?\b([A-Z]+)=", TEXT))
    makefile = (ROOT / "Makefile").read_text()
    read = {name for name in given if f"$({name})" in makefile or f"$(value {name})" in makefile}
    assert given and given == read


@functools.cache
def help_of(name: str) -> str:
    words = name.split()[1:] if name.startswith("asv") else []
    said = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match="0"),
        contextlib.redirect_stdout(said),
    ):  # fmt: skip
        patch.setattr(sys, "argv", [name, *words, "--help"])
        importlib.import_module(COMMANDS[name]).main()
    return said.getvalue()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_options_are_in_the_help_of_a_command_of_their_section(section: str) -> None:
    options = set(re.findall(r"(?<![-\w])--[a-z][-a-z]*", re.sub(r"<!--.*?-->", "", section)))
    helps = [help_of(name) for name in COMMANDS if options and name in section]
    said = set(re.findall(r"--[a-z][-a-z]*", "\n".join(helps)))
    assert options - said == set()


def test_modules_files_and_variables_are_there() -> None:
    for module in re.findall(r"python -m ([\w.]+)", TEXT):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (ROOT / link).exists(), link
    trees = ("datasets_impl", "benchmarks", "scripts")
    code = "\n".join(path.read_text() for tree in trees for path in (ROOT / tree).rglob("*.py"))
    for variable in re.findall(r"DATASET_STUDY_\w+", TEXT):
        assert f'"{variable}"' in code, variable
