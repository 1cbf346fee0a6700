"""One study on each host of a cluster: who is refused, what is gathered, and a real cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts import study_on as command
from scripts.session import hosts
from tests.clones import git
from tests.commands import python
from tests.dask_cluster import written
from tests.folders import snapshot
from tests.stand_in import without_torchvision
from tests.synthetic_results import COMMIT, Bench, load_evidence, write_results

ONE_CELL = "^structures.*'label', 'item', 'list'"
SIZES = {"count": 8, "quality": "98", "bytes_per_pixel": 0.5, "skipped": []}
PICTURES = [{"label": "crops", "resolution": 64, "content_hash": "a", **SIZES}]
OTHER = [{**PICTURES[0], "content_hash": "b"}]
WANTED = {
    "commit": COMMIT,
    "hash": "x",
    "claims": "y",
    "pictures": hosts.pictures(PICTURES),
}


def sent(
    folder: Path, machine: str, value: float = 1.0, commit: str = COMMIT, **facts: Any
) -> dict[str, bytes]:
    bench = Bench("item.ByStage.track_item", {"px": [64]}, lambda factors: [value, value])
    told = {"commit": commit, "code_hash": "x", "claims_hash": "y", "corpora": PICTURES}
    write_results(folder, [bench], machine=machine, commit=commit, provenance=told | facts)
    return snapshot(folder)


def test_what_the_hosts_published_stands_together(tmp_path: Path) -> None:
    found = {name: sent(tmp_path / name, name) for name in ("one", "two")}
    told: list[str] = []
    assert hosts.gather(found, WANTED, tmp_path / "results", told.append) == ["one", "two"]
    assert {each.name for each in load_evidence([tmp_path / "results"]).machines} == {"one", "two"}
    again = {"one": sent(tmp_path / "again", "one", value=3.0)}
    assert hosts.gather(again, WANTED, tmp_path / "results", told.append) == ["one"]
    cells = load_evidence([tmp_path / "results"]).cells
    assert dict(zip(cells["machine"], cells["median"], strict=True)) == {"one": 3.0, "two": 1.0}
    assert told == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"corpora": OTHER}, "it measured other pictures than this clone does"),
        ({"claims_hash": "other"}, "it judges by other rules"),
        ({"code_hash": "other"}, "its measured code is not that of this clone"),
    ],
)
def test_who_differs_from_this_clone_is_left_out_though_he_comes_first(
    facts: dict[str, Any], words: str, tmp_path: Path
) -> None:
    found = {
        "a": sent(tmp_path / "a", "one", **facts),
        "b": sent(tmp_path / "b", "two"),
        "c": sent(tmp_path / "c", "three"),
        "d": {**sent(tmp_path / "d", "four"), "../escaped": b"x"},
    }
    told: list[str] = []
    assert hosts.gather(found, WANTED, tmp_path / "results", told.append) == ["two", "three"]
    assert told[0].startswith(f"a is left out: {words}") and "../escaped" in told[1]
    assert not (tmp_path / "escaped").exists() and not (tmp_path / "results" / "one").exists()


def test_what_a_host_measured_at_another_commit_stays_there(tmp_path: Path) -> None:
    """In whichever order its folder is read, and of whichever pictures it was."""
    told: list[str] = []
    for before in ("0" * 40, "f" * 40):
        sent(tmp_path / before, "one", commit=before, corpora=OTHER)
        files = sent(tmp_path / before, "one")
        for order in (sorted(files), sorted(files, reverse=True)):
            found = {"a": {name: files[name] for name in order}}
            assert hosts.gather(found, WANTED, tmp_path / "results", told.append) == ["one"]
    names = {path.name for path in (tmp_path / "results" / "one").iterdir()}
    assert {name[:8] for name in names - {"machine.json"}} == {COMMIT[:8]}
    assert told == []
    old = {"a": sent(tmp_path / "old", "one", commit="f" * 40)}
    assert hosts.gather(old, WANTED, tmp_path / "results", told.append) == []
    assert told == [f"a is left out: it sent no results of commit {COMMIT[:8]}."]


@pytest.mark.parametrize(
    "harm",
    [
        lambda files: {},
        lambda files: {"benchmarks.json": files["benchmarks.json"]},
        lambda files: {**files, "two/machine.json": files["one/machine.json"]},
        lambda files: {**files, "one/machine.json": b'{"machine": "two"}'},
        lambda files: {**files, "one/machine.json": b"[" * 200_000},
        lambda files: {**files, "benchmarks.json": b"{"},
        lambda files: {name: text for name, text in files.items() if "provenance" not in name},
        lambda files: {name: b"\xff" if "-" in name else text for name, text in files.items()},
        lambda files: {name: b"{}" if "provenance" in name else text
                       for name, text in files.items()},
    ],
)  # fmt: skip
def test_a_host_that_sends_something_else_is_left_out(harm: Any, tmp_path: Path) -> None:
    found = {"a": harm(sent(tmp_path / "a", "one")), "b": sent(tmp_path / "b", "two")}
    told: list[str] = []
    assert hosts.gather(found, WANTED, tmp_path / "results", told.append) == ["two"]
    assert told == ["a is left out: what it sent are no results of one machine."]
    assert not (tmp_path / "results" / "one").exists()


def test_of_a_host_that_had_another_name_before_its_present_results_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets_impl").mkdir()
    (tmp_path / "datasets_impl" / "__init__.py").touch()
    for name in ("one", "one-2"):
        sent(tmp_path / "out" / "folder" / "results", name)
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *given, **more: done)
    spec = type("Spec", (), {"origin": str(tmp_path / "datasets_impl" / "__init__.py")})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    files = hosts._study()("folder", ["--profile", "quick", "--machine", "one-2"])
    assert {name.rpartition("/")[0] for name in files} == {"", "one-2"}


def test_a_folder_of_somebody_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "results" / "one").mkdir(parents=True)
    (tmp_path / "results" / "one" / "notes").write_text("mine")
    with pytest.raises(StudyError):
        hosts.gather({"a": sent(tmp_path / "a", "one")}, WANTED, tmp_path / "results", print)


def test_results_of_another_project_of_asv_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of any host is written beside them; and the command says so before it measures."""
    theirs = tmp_path / "results" / "benchmarks.json"
    theirs.parent.mkdir()
    theirs.write_text(text := json.dumps({"time_suite.Other.time_x": {}, "version": 2}))
    with pytest.raises(StudyError, match="something else than this study's benchmarks"):
        hosts.gather({"a": sent(tmp_path / "a", "one")}, WANTED, tmp_path / "results", print)
    monkeypatch.setattr("scripts.session.measuring.end_orphans", lambda: 0)
    assert command.main(["--on=tcp://127.0.0.1:9", f"--out={tmp_path}"]) == 2
    assert "something else than this study's benchmarks.json" in capsys.readouterr().err
    assert snapshot(theirs.parent) == {"benchmarks.json": text.encode()}


def test_a_host_is_asked_by_what_travels_by_value() -> None:
    """Pickled as Dask does it, and called where none of these modules is known."""
    cloudpickle = pytest.importorskip("cloudpickle")
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], input=cloudpickle.dumps(hosts._ask()),
        cwd="/", capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert {"name", "claims", "commit", "hash", "host"} <= facts.keys()


class Cluster:
    """Stands in for Dask: one answer for each worker."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {name: {"host": name.split(":")[0]} for name in self.answers}}

    status = "running"

    def submit(self, *given: Any, workers: list[str], **more: Any) -> Any:
        """A future that is never done."""

        def result(timeout: float) -> None:
            raise TimeoutError

        return SimpleNamespace(status="pending", result=result)


def test_a_host_whose_worker_is_gone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker of that host cannot do what was asked of it alone."""
    monkeypatch.setattr("datasets_impl.system.scheduler.LOOK_SECONDS", 0)
    told: list[str] = []
    assert hosts._on_each(Cluster({"a:2": 0}), print, {"a": ("a:1",)}, told.append) == {}
    assert told == ["a is left out: its worker is gone, and did not come back in 0 s"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"commit": "f" * 40}, "its clone is at ffffffff"),
        ({"hash": "other"}, "not that of this clone"),
        ({"claims": "other"}, "other rules"),
        ({}, ""),
    ],
)
def test_what_would_measure_something_else_is_refused(changed: dict[str, str], words: str) -> None:
    wanted = {"commit": "0" * 40, "hash": "x", "claims": "y"}
    said = hosts._refused({**wanted, "name": "lab", **changed}, wanted)
    assert words in said and bool(said) == bool(words)


def test_a_scheduler_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    given = ["--on=nonsense://nowhere:1", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr("scripts.session.measuring.end_orphans", lambda: 0)
    assert command.main(given) == 2
    assert "No Dask scheduler answers at nonsense://nowhere:1" in capsys.readouterr().err
    for address in ("ucx://localhost:9", "inproc://x:1"):
        assert command.main([f"--on={address}", given[1]]) == 2
        assert f"No Dask scheduler answers at {address}" in " ".join(
            capsys.readouterr().err.split()
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--images=photos"], "leave IMAGES out"),
        (["--beside"], "takes no --beside"),
        (["--repeat"], "takes no --repeat"),
        (None, "unset DATASET_STUDY_IMAGES"),
    ],
)
def test_what_one_machine_alone_can_is_refused_in_one_sentence(
    given: list[str] | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if given is None:
        monkeypatch.setenv("DATASET_STUDY_IMAGES", "photos")
    assert command.main(["--on=tcp://127.0.0.1:9", *(given or [])]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert words in said and "usage" not in said


@contextmanager
def started(home: Path, *words: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "dask.log").open("ab") as log:
        made = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard",
             "--scheduler-file", str(home / "scheduler.json")],
            cwd=home, env={**os.environ, **variables}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield made
    finally:
        made.send_signal(signal.SIGTERM)
        made.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="hosts are addresses of Linux's loopback")
def test_a_study_on_two_hosts_and_one_of_another_commit(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    clones = [clone, *(Path(shutil.copytree(clone, tmp_path / name)) for name in ("two", "three"))]
    git(clones[2], "commit", "--quiet", "--allow-empty", "--message", "another")
    names = tmp_path / ".asv-machine.json"  # as asv's writer on another host leaves it for a moment
    names.write_text("{")
    with ExitStack() as running:
        words = ("scheduler", "--host", "127.0.0.1", "--port", "0")
        scheduler = running.enter_context(started(tmp_path, *words))
        on = written(tmp_path / "scheduler.json", scheduler)
        # The last is a second address of the first one's machine; else each is a machine.
        for number, root in enumerate([*clones, clone], 1):
            running.enter_context(
                started(tmp_path, "worker", "--no-nanny", "--nthreads", "1", "--host",
                        f"127.0.0.{number}", "--local-directory", str(tmp_path / f"w{number}"),
                        HOME=str(tmp_path), DATASET_STUDY_HOST=f"machine {number % 4 or 1}",
                        **without_torchvision(tmp_path, root, torch=False))
            )  # fmt: skip
        while (tmp_path / "dask.log").read_text().count("Registered to") < 4:
            time.sleep(0.1)
        done = python(
            *("-m", "scripts.study_on", "--on", on, "--rounds=2", f"--bench={ONE_CELL}"),
            *("--out", tmp_path / "out"), at=clone, HOME=tmp_path,
            **without_torchvision(tmp_path, clone, torch=False),
        )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "127.0.0.3 is left out: its clone is at" in done.stderr, done.stderr
    assert "127.0.0.4 is left out: it is the same machine as 127.0.0.1" in done.stderr
    assert "was not alone" not in done.stderr, done.stderr
    taken = [path.parent.name for path in (tmp_path / "out" / "results").glob("*/machine.json")]
    assert len(taken) == 2, done.stdout + done.stderr
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert list(clones[1].glob("out/*/results/*/*.json"))
    assert names.read_text() == "{"
    assert not list(clones[1].glob("out/*/report")), "a page that nobody reads takes a host's time"
