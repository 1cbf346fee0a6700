"""Every path, name and example of CONTRIBUTING.md leads to something that is there."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
from pydantic import TypeAdapter

from scripts.judging.claims import Test as ClaimTest
from scripts.root import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
QUOTED = sorted(set(re.findall(r"`([^`]+)`", PROSE)))
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL))
TREES = ("datasets_impl", "benchmarks", "scripts", "tests")
FILES = [path for tree in TREES for path in (ROOT / tree).rglob("*.py")]
FOLDERS = {path.parent for path in FILES}
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in FILES)


def _is_path(quoted: str) -> bool:
    return bool(re.fullmatch(r"[\w<>./-]+(/|\.(py|toml|txt))", quoted))


@pytest.mark.parametrize("quoted", [one for one in QUOTED if _is_path(one)])
def test_a_path_is_there(quoted: str) -> None:
    """A bare name is that of a neighbour; `<name>` stands for whatever the reader chooses."""
    pattern = re.sub(r"<\w+>", "*", quoted)
    assert list(ROOT.glob(pattern)) or any(path.match(pattern) for path in (*FILES, *FOLDERS))


@pytest.mark.parametrize("quoted", [one for one in QUOTED if not _is_path(one)])
def test_a_name_is_there(quoted: str) -> None:
    for word in re.findall(r"[<\w][\w<>]*", quoted.removeprefix("make ")):
        pattern = re.sub(r"<\w+>", r"\\w+", word)
        where = (ROOT / "Makefile").read_text() if quoted.startswith("make ") else SOURCE
        assert re.search(rf"\b{pattern}\b", where), word


@pytest.mark.parametrize(
    ("name", "path"), re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w/.]+\.py)`", PROSE)
)
def test_a_name_is_defined_in_the_file_that_is_named(name: str, path: str) -> None:
    defined = rf"^\s*((class|def) )?{name}\b"
    found = [file for file in FILES if file.match(path)]
    texts = [file.read_text(encoding="utf-8") for file in found]
    assert any(re.search(defined, text, re.MULTILINE) for text in texts)


def test_the_examples_are_well_formed() -> None:
    ast.parse(BLOCKS["python"])
    (claim,) = tomllib.loads(BLOCKS["toml"])["claim"]
    (test,) = claim["test"].values()
    assert TypeAdapter(ClaimTest).validate_python(test).kind == "ratio"


def test_the_files_of_one_number_are_in_their_rooms_and_at_most_twenty() -> None:
    """A row names a folder and files in it, or one file by its path."""
    section = TEXT.partition("## Follow one number")[2].partition("\n## ")[0]
    files = []
    for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]:
        where, names = (re.findall(r"`([\w/.]+)`", column) for column in row.split(" | "))
        files += [ROOT.joinpath(*where[:1], name) for name in names]
    assert [path for path in files if not path.is_file()] == []
    assert 10 < len(files) == len(set(files)) <= 20


def test_lines_fit_a_hundred_columns() -> None:
    assert [x for x in TEXT.splitlines() if len(x) > 100 and not x.startswith("|")] == []


def test_the_quick_profile_takes_as_long_wherever_it_is_said() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "Makefile"):
        assert "five to eight minutes" in (ROOT / name).read_text(encoding="utf-8"), name
