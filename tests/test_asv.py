"""The suite under plain asv: what it accepts, and what it leaves as it is."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from asv_runner.discovery import disc_benchmarks
from conftest import ROOT

from benchmarks import plan, prepare
from benchmarks.grids import PROFILES
from datasets_impl.corpus import CorpusSpec
from tests.clones import cloned, git
from tests.commands import Done, python, sentence
from tests.stand_in import without_torchvision
from tests.standard_suite import imported

TOOK_PART = ("asv.conf.json", "benchmarks", "datasets_impl", "results")


def asv(*arguments: str, at: Path, home: Path, **environment: str) -> Done:
    light = without_torchvision(home, ROOT)
    return python("-m", "asv", *arguments, at=at, HOME=home, **light, **environment)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the suite and the committed results, as the working tree has them."""
    return cloned(tmp_path / "clone", *TOOK_PART)


def existing() -> Sequence[str]:
    return ("-E", f"existing:{sys.executable}")


@pytest.mark.slow
def test_a_plain_run_of_any_profile_leaves_what_is_committed(clone: Path, tmp_path: Path) -> None:
    before = (clone / "results" / "benchmarks.json").read_bytes()
    asv("machine", "--yes", "--machine", "lab", at=clone, home=tmp_path)
    ran = asv(
        *("run", "--quick", *existing(), "--bench", r"^controls\.Access\."),
        *("--set-commit-hash", "HEAD", "--machine", "lab"),
        at=clone,
        home=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "results" / "benchmarks.json").read_bytes() == before
    assert list((clone / "out" / "asv" / "lab").glob("????????-*.json")), "kept, and ignored by git"
    pages = asv("publish", at=clone, home=tmp_path)
    assert pages.returncode == 0, pages.stdout + pages.stderr
    machines = json.loads((clone / ".asv" / "html" / "index.json").read_text())["machines"]
    assert set(machines) == {"lab"}
    assert git(clone, "status", "--porcelain") == ""


def without_history() -> bool:
    """asv places results by their commits, which a shallow clone or a downloaded tree lacks."""
    asked = ("git", "rev-parse", "--is-shallow-repository")
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout != "false\n"


@pytest.mark.slow
@pytest.mark.skipif(without_history(), reason="this tree has no full git history")
def test_the_committed_results_are_read_with_a_configuration_of_their_own(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    config = ("--config", str(ROOT / "results" / "asv.conf.json"))
    done = asv("publish", *config, "--no-pull", "--html-dir", str(pages), at=ROOT, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    index = json.loads((pages / "index.json").read_text())
    known = {path.parent.name for path in (ROOT / "results").glob("*/machine.json")}
    assert set(index["machines"]) == known
    for machine in index["machines"].values():
        assert {"cpu", "num_cpu", "ram", "os"} <= set(machine)
    for told in index["graph_param_list"]:
        assert {"machine", "cpu", "num_cpu", "ram", "os", "python", "torch"} <= set(told)
        assert None not in told.values()
    shown = asv("show", *config, at=ROOT, home=tmp_path)
    assert shown.returncode == 0 and all(name in shown.stdout for name in known)


@pytest.mark.slow
def test_an_unknown_profile_is_named(tmp_path: Path) -> None:
    done = asv(*("check", *existing()), at=ROOT, home=tmp_path, DATASET_STUDY_PROFILE="nonsense")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "'nonsense'" in said and "quick" in said
    assert said.count("Traceback") == 0, said


def test_the_check_of_the_lint_covers_every_profile() -> None:
    lines = subprocess.run(["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "asv check -E existing:same" in lines
    (checked,) = re.findall(r"DATASET_STUDY_PROFILE=(\w+)", lines)

    def names(profile: str) -> set[str]:
        with imported(profile) as suite:
            return {f"{one.__module__}.{one.__name__}" for one in suite.benchmark_classes()}

    everything = names(checked)
    assert all(names(profile) <= everything for profile in PROFILES)


@pytest.mark.slow
def test_the_check_needs_no_repository_and_names_what_is_wrong_alone(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    shutil.copytree(ROOT / "benchmarks", suite / "benchmarks")
    shutil.copy(ROOT / "asv.conf.json", suite)
    check = ("check", "-E", "existing:same")
    variables = {"DATASET_STUDY_PROFILE": "full", "PATH": str(tmp_path)}  # no git, no network tool
    with (suite / "benchmarks" / "loader.py").open("a") as file:
        file.write("\n\nclass Few:\n    params = [[1], [2]]\n")
        file.write("    def track_few(self, one):\n        return one\n")
    wrong = asv(*check, at=suite, home=tmp_path, **variables)
    named = re.findall(r"^·· (\S+): ", wrong.stdout, re.MULTILINE)
    assert wrong.returncode == 1 and named == ["loader.Few.track_few"], wrong.stdout


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("zzz", ("'zzz' matches no benchmark", "profile quick", "startup")),
        ("itme.bystge", ("item.ByStage",)),
        ("(", ("no regular expression",)),
    ],
)
def test_an_expression_that_matches_nothing_is_one_sentence(
    capsys: pytest.CaptureFixture[str], expression: str, words: tuple[str, ...]
) -> None:
    sentence(plan.main(["--bench", expression]), capsys, *words)


def test_an_expression_is_matched_as_asv_does() -> None:
    expression = r"^item\.By.*'read'"
    found = {name: len(cells) for name, _, cells in prepare.chosen(expression)}
    expected: dict[str, int] = {}
    for benchmark in disc_benchmarks(str(ROOT / "benchmarks")):
        for levels in itertools.product(*benchmark.params):
            if re.search(expression, f"{benchmark.name}({', '.join(levels)})"):
                name = benchmark.name.rpartition(".")[0]
                expected[name] = expected.get(name, 0) + 1
    assert found == expected and len(found) == 2
    assert prepare.corpora("structures") == []


def test_the_images_are_one_line_whatever_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    specs = [CorpusSpec(count=count, resolution=px) for count, px in ((9, 16), (8, 24))]
    monkeypatch.setattr(prepare, "corpora", lambda expression: specs)
    monkeypatch.setattr(sys, "argv", ["prepare"])
    monkeypatch.setenv("DATASET_STUDY_CACHE", str(tmp_path))
    assert prepare.main() == 0
    said = capfd.readouterr().err
    assert re.fullmatch(r"Images: 17 JPEG files, 16 to 24 px, \S+ kB, in 2 folders\.\n", said)


@pytest.mark.parametrize("option", ["--plan", "--manifests"])
def test_what_is_prepared_replaces_only_what_was(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [CorpusSpec(count=2, resolution=16)]
    monkeypatch.setattr(prepare, "corpora", lambda expression: specs)
    monkeypatch.setenv("DATASET_STUDY_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "place"
    monkeypatch.setattr(sys, "argv", ["prepare", f"{option}={place}"])
    for theirs in ("years of work", "3", '{"rounds": 3}', '[{"name": "mine"}]', "[[1]]"):
        place.write_text(theirs)
        assert prepare.main() == 2
        assert "place holds something else than" in capsys.readouterr().err
        assert place.read_text() == theirs and not (tmp_path / "cache").exists()
    place.write_text("")
    for _ in range(2):  # an empty one, and one of its own
        assert prepare.main() == 0
        assert json.loads(place.read_text())


def test_locks_of_asv_are_named_after_it_where_workers_are_not_forked(tmp_path: Path) -> None:
    """A killed one leaves them in shared memory, where the next run sweeps them by these names."""
    code = (
        "import contextlib, multiprocessing, os, runpy, sys\n"
        "multiprocessing.set_start_method('forkserver')\n"
        "sys.argv = ['asv', 'machine', '--help']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    runpy.run_module('scripts.session.named_asv', run_name='__main__')\n"
        "from asv import util\n"
        "from datasets_impl.system.owners import own_prefix\n"
        "names = [one._semlock.name for one in util._global_locks.values()]\n"
        "assert names and all(name.startswith('/' + own_prefix()) for name in names), names\n"
    )
    done = python("-c", code, HOME=tmp_path)
    assert done.returncode == 0, done.stderr
