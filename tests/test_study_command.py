"""The study's command: bad input, and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets_impl.factors import APART
from datasets_impl.files.paths import CACHE_VARIABLE
from datasets_impl.files.whole import holder_of, locked
from scripts import study as command
from scripts.root import RESULTS, ROOT
from scripts.session import state as session_state
from scripts.session.child import child
from scripts.session.measuring import HELD, measuring
from tests.commands import python, refused


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the command in this process, which must refuse; the one sentence that it says."""

    def run(*arguments: str) -> str:
        given = ["study", "--out", str(tmp_path / "out"), *arguments]
        monkeypatch.setattr(sys, "argv", given)
        monkeypatch.setattr(command, "_run", lambda *given: pytest.fail("it began to measure"))
        assert command.main() == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ") and said.err.count("\n") == 1, said.err
        assert said.out == ""
        return said.err

    return run


@pytest.mark.slow
def test_benchmarks_that_there_are_none_of_are_one_sentence_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The child that builds the corpora says it; the study does not repeat it."""
    monkeypatch.setattr("scripts.session.measuring.end_orphans", lambda: 0)  # of other tests
    monkeypatch.setattr(sys, "argv", ["study", "--bench", "zzz", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    said = capfd.readouterr()
    assert said.err.startswith("error: --bench 'zzz' matches no benchmark of the profile quick")
    assert said.err.count("\n") == 1 and said.out == "", said.err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("profile", "nonsense", ["nonsense", "quick", "full"]),
        *(("rounds", value, ["--rounds", repr(value), "from 2"])
          for value in ("1", "0", "-1", "abc", "1e9", "1000000000", "2.5", "", "²")),
        *(("machine", value, ["--machine", "letters"])
          for value in ("../x", "a/b", "", ".", "..", ".git", "-x", "x" * 101, "a b", "a\nb")),
        *(("machine", name, [f"--machine is '{name}'", "give another name"])
          for name in ("benchmarks.json", "Benchmarks.JSON")),
        ("images", "", ["empty"]),
        ("bench", "", ["--bench", "empty"]),
        ("bench", "(", ["--bench", "no regular expression"]),
        ("images", "/nowhere", ["/nowhere does not exist"]),
        ("images", __file__, ["is a file, not a folder of pictures"]),
        ("images", "~nobody-of-this-name/x", ["unknown user"]),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_refused(
    told: Callable[..., str], tmp_path: Path, name: str, value: str, words: list[str]
) -> None:
    said = told(f"--{name}={value}")
    assert all(word in said for word in words), said
    assert not (tmp_path / "out").exists()


WHOLE, CODE = "your home folder or this project", "this project's own code"
PLACES = {
    "/": WHOLE,
    str(Path.home()): WHOLE,
    str(ROOT): WHOLE,
    str(ROOT.parent): WHOLE,
    f"{ROOT}/scripts": CODE,
    f"{ROOT}/datasets_impl/formats/new": CODE,
    f"{ROOT}/.venv/results": CODE,
}


@pytest.mark.parametrize("name", ["results", "out"])
@pytest.mark.parametrize(("place", "why"), PLACES.items())
def test_a_place_for_other_things_is_no_place_for_results(
    told: Callable[..., str], tmp_path: Path, name: str, place: str, why: str
) -> None:
    said = told(f"--{name}={place}")
    assert f"--{name} is {place}, which " in said and why in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    ["--out=results", "--out=results/x", "--out=results/report", "--out=results/{}/x",
     "--results=results/report", "--results=results/{}"],
)  # fmt: skip
def test_nothing_is_written_among_the_committed_results(
    told: Callable[..., str], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(ROOT)
    before = sorted(RESULTS.rglob("*"))
    machine = next(RESULTS.glob("*/machine.json")).parent
    assert "holds asv's results, which are only read" in told(option.format(machine.name))
    assert sorted(RESULTS.rglob("*")) == before


@pytest.mark.parametrize("inside", ["", "objects", "worktrees/other/results"])
def test_a_folder_of_git_is_no_place_for_results(
    told: Callable[..., str], tmp_path: Path, inside: str
) -> None:
    for bare in ("", "--bare"):
        made = tmp_path / f"clone{bare}"
        subprocess.run(["git", "init", "-q", *filter(None, [bare]), made], check=True)
        folder = made if bare else made / ".git"
        before = sorted(made.rglob("*"))
        for name in ("results", "out"):
            assert "git keeps its own files" in told(f"--{name}={folder / inside}")
        assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PATH", "/nowhere", ["git cannot be run", "install git"]),
        ("GIT_CONFIG_COUNT", "x", ["git clone", "git says"]),
        ("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1", ["another user", "safe.directory"]),
        ("DATASET_STUDY_MAX_RETRIES", "many", ["DATASET_STUDY_MAX_RETRIES"]),
        (CACHE_VARIABLE, "/proc/none", ["/proc/none", CACHE_VARIABLE]),
        (CACHE_VARIABLE, str(ROOT / "README.md"), ["README.md", CACHE_VARIABLE]),
    ],
)
def test_an_environment_that_cannot_do_is_told_first(
    told: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: list[str],
) -> None:
    monkeypatch.setenv(name, value)
    said = told()
    assert all(word in said for word in words), said
    assert not (tmp_path / "out").exists()


def test_a_cache_among_the_pictures_is_refused_before_it_is_made(
    told: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures := tmp_path / "pictures").mkdir()
    monkeypatch.setenv(CACHE_VARIABLE, str(pictures / "cache"))
    assert "never written to" in told(f"--images={pictures}")
    assert not list(pictures.iterdir()) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["session/notes", "asv/index.html", "results/benchmarks.json", "report/index.html"]
)
def test_a_file_of_somebody_else_in_its_place_is_left(
    told: Callable[..., str], tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert str(mine.parent) in told()
    assert mine.read_text() == "mine"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]


def test_a_link_in_its_place_is_left(told: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "session").symlink_to(tmp_path / "mine")
    assert "symbolic link" in told()
    assert (tmp_path / "mine" / "notes").read_text() == "mine"


def test_pictures_in_the_place_of_the_session_are_left(
    told: Callable[..., str], tmp_path: Path
) -> None:
    photos = tmp_path / "out" / "session" / "photos"
    photos.mkdir(parents=True)
    assert "only read" in told(f"--images={photos}")
    assert photos.is_dir()


def test_the_committed_results_are_not_mixed_with_another_profile(
    told: Callable[..., str],
) -> None:
    said = told(f"--results={ROOT / 'results'}", "--profile=full")
    assert "holds results of the profile" in said and "--results" in said


@pytest.mark.parametrize(
    ("before", "given", "what"),
    [
        ({"images": "/elsewhere/photos"}, "--images={}/photos", "/elsewhere/photos"),
        ({"images": "/elsewhere/photos"}, "--machine=lab", "/elsewhere/photos"),
        ({"bench": "item.*"}, "--bench=item", "item.*"),
        ({}, "--bench=item", "the usual ones"),
    ],
)
def test_a_study_of_other_pictures_or_benchmarks_is_not_replaced(
    told: Callable[..., str], tmp_path: Path, before: dict[str, str], given: str, what: str
) -> None:
    """Two folders of pictures may have one name, and so may two choices of benchmarks."""
    session = tmp_path / "out" / "session"
    (session / "rounds-1").mkdir(parents=True)
    (session / session_state.MARK).write_text(session_state.HEADER)
    key = {"images": None, "bench": None, **before}
    state = {"key": key, "done": 1, "rounds": [{}], "published": True, "code": {"commit": "a"}}
    (session / "session.json").write_text(json.dumps(state))
    (tmp_path / "photos").mkdir()
    said = told(given.format(tmp_path))
    assert what in said and "--out" in said


def test_each_question_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["study", *arguments])
        return command.checked(command.arguments()).out.name

    assert folder() == "quick"
    assert folder("--profile", "full", "--images", "~/my photos") == "full-my photos"
    assert folder("--bench", r"^item\.ByStage") == "quick-only-item-bystage"
    assert folder("--profile", "standard", "--repeat") == "standard-repeat"
    monkeypatch.setenv("DATASET_STUDY_IMAGES", "photos")
    assert folder() == "quick-photos"


@pytest.mark.parametrize(
    ("given", "results"),
    [
        (["--profile", "standard"], "standard/results"),
        (["--profile", "standard", "--repeat"], "standard/results"),
        *[(["--profile", profile], "standard/results") for profile in APART],
        (["--profile", "loaders", "--images", "photos"], "standard-photos/results"),
        (["--profile", "full", "--repeat"], "full/results"),
        (["--repeat", "--out", "mine"], "mine/results"),
        (["--profile", "loaders", "--results", "mine"], "mine"),
    ],
)
def test_what_is_judged_together_is_published_in_one_folder(
    monkeypatch: pytest.MonkeyPatch, given: list[str], results: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["study", *given])
    found = command.checked(command.arguments()).results
    assert found == (Path(results).resolve() if "mine" in results else ROOT / "out" / results)


def test_a_home_is_expanded_and_a_path_made_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    given = ["--images=~/photos", "--out=out", "--results=~/results"]
    monkeypatch.setattr(sys, "argv", ["study", *given])
    options = command.checked(command.arguments())
    places = (options.images, options.out, options.results)
    assert places == (tmp_path / "photos", tmp_path / "out", tmp_path / "results")


def test_a_package_that_is_missing_is_named() -> None:
    code = (
        "import runpy, sys; sys.modules['asv'] = None; "
        "runpy.run_module('scripts.study', run_name='__main__')"
    )
    refused(python("-c", code), "asv", "make study")


@pytest.mark.parametrize("option", ["--out", "--results"])
def test_a_second_study_in_the_same_folder_is_refused(
    told: Callable[..., str], option: str, tmp_path: Path
) -> None:
    """Or the later one's results would replace those of the earlier one."""
    folder, other = tmp_path / "held", tmp_path / "other"
    folder.mkdir()
    given = [f"{option}={folder}"] + [f"--out={other}"] * (option == "--results")
    with locked(folder / HELD):
        said = told(*given)
        assert f"Another study (process {os.getpid()}) is running in {folder}" in said
        assert option in said
    assert not list(folder.iterdir()) and not other.exists()


@pytest.mark.parametrize("there", [True, False])
def test_folders_are_held_as_long_as_a_study_runs(there: bool, tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "results"
    if there:
        results.mkdir()
    for published in (results, out):
        with measuring(out, results=published):
            assert {holder_of(folder / HELD) for folder in (out, published)} == {os.getpid()}
    assert not list(tmp_path.rglob(".*")) and results.exists() is there


def test_a_folder_that_cannot_be_made_is_one_sentence(
    told: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    told("--out", str(tmp_path / "file" / "out"))


def test_a_child_of_a_background_job_can_be_interrupted() -> None:
    """A shell's background jobs ignore SIGINT; a child that inherited it would outlive its asv."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with child(["sleep", "60"], os.environ, None) as run:
            assert run.poll() is None
        assert run.returncode == -signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize("ignored", [True, False])
def test_a_closed_terminal_ends_a_study_unless_it_was_told_to_ignore_that(ignored: bool) -> None:
    body = (
        "import os, signal\n"
        "from datasets_impl.system.termination import stopping_on_termination\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})\n"
        "with stopping_on_termination():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    assert ("KeyboardInterrupt" in python("-c", body).stderr) != ignored
