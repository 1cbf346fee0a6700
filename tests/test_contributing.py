"""Every path, name and example of CONTRIBUTING.md leads to something that is there."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from pydantic import TypeAdapter

import benchmarks.epoch
from benchmarks import touched
from scripts.judging import judge
from scripts.judging.claims import Test as ClaimTest
from scripts.root import CLAIMS, ROOT

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


ON_THE_WAY = {  # imported by what makes C04's number, which would be the same without them
    "datasets_impl.arguments": "refuses what cannot be meant",
    "datasets_impl.corpus.user_images": "other pictures",
    "datasets_impl.errors": "what is said where there is no number",
    "datasets_impl.files": "where files are, and that they are whole",
    "datasets_impl.loaders.threads": "loaders",
    "datasets_impl.media.cgroup": "throttled disks",
    "datasets_impl.observe.handover": "epochs with workers",
    "datasets_impl.streams": "what is printed",
    "datasets_impl.system.cores": "how many threads build the corpus",
    "datasets_impl.system.hierarchy": "throttled disks",
    "datasets_impl.system.left_out": "what is said where there is no number",
    "datasets_impl.system.owners": "leftovers",
    "datasets_impl.system.running": "leftovers",
    "datasets_impl.system.termination": "leftovers",
    "datasets_impl.system.threads": "how the corpus is built",
    "scripts.judging.across": "other environments",
    "scripts.judging.arms": "loaders",
    "scripts.judging.at_scale": "loaders",
    "scripts.judging.bandwidth": "X05",
    "scripts.judging.break_even": "X04",
    "scripts.judging.declared": "what is said of benchmarks that are no more",
    "scripts.judging.environment_changes": "other environments",
    "scripts.judging.fields": "refuses what cannot be meant",
    "scripts.judging.grid": "where a claim that holds in part does so",
    "scripts.judging.interval": "names of what is handed on",
    "scripts.judging.judgement": "names of what is handed on",
    "scripts.judging.lacking": "what more would decide",
    "scripts.judging.ladder": "loaders",
    "scripts.judging.loaders": "loaders",
    "scripts.judging.model": "names of what is handed on",
    "scripts.judging.profiles": "second runs",
    "scripts.judging.prospects": "loaders",
    "scripts.judging.readable": "what is said where there is no number",
    "scripts.judging.remote": "loaders",
    "scripts.judging.repeat": "second runs",
    "scripts.judging.targets": "what more would decide",
}
BY_COMMAND = {"scripts.session.rounds", "scripts.session.state", "scripts.session.publishing"}


def _followed() -> list[Path]:
    """A row names a folder and files in it, or one file by its path."""
    section = TEXT.partition("## Follow one number")[2].partition("\n## ")[0]
    files = []
    for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]:
        where, names = (re.findall(r"`([\w/.]+)`", column) for column in row.split(" | "))
        files += [ROOT.joinpath(*where[:1], name) for name in names]
    return files


def test_the_files_of_one_number_are_all_that_make_it() -> None:
    """Those that are imported from the measure to the datasets and by the judge, but for a named
    few. asv runs in a process of its own: what a session does is no import."""
    imports = touched.Imports()
    datasets = touched._datasets(benchmarks.epoch.ByResolution)
    made = {one for module in ("benchmarks.epoch", *datasets) for one in imports.of(module)}
    judged = grimp.build_graph("scripts", cache_dir=None).find_upstream_modules(judge.__name__)
    found = made | {one for one in {judge.__name__, *judged} if one.startswith("scripts.judging.")}
    counted = {one for one in found if not f"{one}.".startswith(tuple(f"{x}." for x in ON_THE_WAY))}
    files = _followed()
    assert [path for path in files if not path.is_file()] == [] and len(files) == len(set(files))
    told = {path.relative_to(ROOT).with_suffix("") for path in files if path != CLAIMS}
    assert {".".join(one.parts).removesuffix(".__init__") for one in told} == counted | BY_COMMAND
    assert f"These {len(files)} files" in TEXT
    assert [x for x in ON_THE_WAY if not any(f"{one}.".startswith(f"{x}.") for one in found)] == []


def test_no_modules_import_each_other_in_a_ring() -> None:
    """Not even for types: each can be read after those that it is made of."""
    graph = grimp.build_graph("datasets_impl", "benchmarks", "scripts", cache_dir=None)
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the ring


def test_lines_fit_a_hundred_columns() -> None:
    assert [x for x in TEXT.splitlines() if len(x) > 100 and not x.startswith("|")] == []


def test_the_quick_profile_takes_as_long_wherever_it_is_said() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "Makefile"):
        assert "seven to fifteen minutes" in (ROOT / name).read_text(encoding="utf-8"), name
