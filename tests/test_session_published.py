"""What a session publishes: whole or as it was before, beside other runs, and to be judged."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts.judging.runs import RESULT, find_runs
from scripts.root import RESULTS, ROOT
from scripts.session import asv_files, provenance, publishing
from tests.folders import snapshot
from tests.sessions import (
    BLOCKS,
    NAME,
    WHOLE,
    FakeAsv,
    half_done,
    opened,
    publish,
    published,
    run,
    samples,
)
from tests.synthetic_results import COMMIT, Bench, edit_json, load_evidence, write_results

PYTHON = ".".join(map(str, sys.version_info[:2]))
HERE = provenance.processor()
RESULT_FILES = [path for path in sorted(RESULTS.glob("*/*.json")) if RESULT.match(path.name)]


def test_what_is_published_can_be_judged(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    assert samples(target) == BLOCKS
    (machine,) = load_evidence([target]).machines
    assert machine.provenance["profile"] == "quick"
    assert machine.provenance["commit"] == machine.commit == COMMIT
    assert machine.provenance["partial"] is False
    assert len(machine.provenance["rounds"]) == 3
    assert len(machine.observations) == len(WHOLE)


def test_no_published_file_holds_a_local_path(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 5  # benchmarks, machine, result, provenance, observations
    local = {str(ROOT), str(Path.home()), str(tmp_path), str(Path(sys.executable).parent)}
    for path in files:
        text = path.read_text()
        for folder in local:
            assert f"{folder}/" not in text and f'{folder}"' not in text, path
        assert str(ROOT).replace("/", "_") not in text + path.name
    (machine,) = load_evidence([target]).machines
    assert machine.observations[0]["note"] == (
        "OSError: <project>/benchmarks/item.py and <home>/pictures/a.jpg"
    )


@pytest.mark.parametrize(
    ("asked", "ending"),
    [
        ({}, "quick"),
        ({"profile": "loaders"}, "loaders"),
        ({"profile": "standard", "repeat": True}, "standard-repeat"),
    ],
)
def test_the_environment_is_named_by_python_and_profile(
    asv: FakeAsv, tmp_path: Path, asked: dict[str, Any], ending: str
) -> None:
    session = opened(tmp_path, **asked)
    run(session)
    target = publish(session, tmp_path / "published")
    (result,) = target.glob("lab/*-*.json")
    name = f"existing-py{PYTHON}-{ending}"
    assert result.name == f"{COMMIT[:8]}-{name}.json"
    assert json.loads(result.read_text())["env_name"] == name


def test_asv_s_files_tell_machine_python_and_libraries(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asv itself knows the name of the machine and the path of an interpreter."""
    facts = {"cpu": "A CPU", "threads": 2, "ram_gb": 25.3, "kernel": "Linux 6.1", "arch": "x86_64"}
    facts["python"] = "3.12.4"
    monkeypatch.setattr(provenance, "_machine_facts", lambda: facts)
    installed = {"torch": "2.14.1", "numpy": "2.4.6", "asv": "0.6.6", "psutil": "7.2.2"}
    monkeypatch.setattr(provenance, "versions", lambda: installed)
    target = published(tmp_path)
    machine = {"machine": "lab", "os": "Linux 6.1", "cpu": "A CPU",
               "num_cpu": "2", "ram": "25.3 GB"}  # fmt: skip
    assert json.loads((target / "lab" / "machine.json").read_text()) == {**machine, "version": 1}
    told = json.loads(next((target / "lab").glob("*-*.json")).read_text())
    libraries = {"torch": "2.14.1", "numpy": "2.4.6"}
    assert told["python"] == "3.12"
    assert told["requirements"] == libraries
    assert told["params"] == {**machine, "python": "3.12", **libraries}


@pytest.mark.parametrize("result", RESULT_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_committed_files_tell_what_their_provenance_does(result: Path) -> None:
    facts = json.loads(result.with_suffix(".provenance.jsonl").read_text())
    told = json.loads(result.read_text())
    again = result.stem.endswith("-repeat")
    assert asv_files.result(told, facts, again) == told
    assert result.name == f"{told['commit_hash'][:8]}-{told['env_name']}.json"
    machine = json.loads((result.parent / "machine.json").read_text())
    own = asv_files.machine(result.parent.name, facts) | {"version": 1}
    # A machine's kernel may be a newer one in a later run; its file is of one of them.
    assert {**machine, "os": ""} == {**own, "os": ""}
    assert {"cpu", "num_cpu", "ram", "os"} <= set(machine)
    assert {"python", "torch"} <= set(told["params"])


def test_an_unfinished_session_is_not_published(asv: FakeAsv, tmp_path: Path) -> None:
    half_done(asv, tmp_path)
    with pytest.raises(StudyError, match="not finished"):
        publish(opened(tmp_path), tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_a_full_disk_leaves_the_earlier_result_whole_and_the_session_ready(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = published(tmp_path)
    before = snapshot(target)
    session = opened(tmp_path)
    run(session)

    def full(path: Path, content: str | bytes) -> None:
        if target in path.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    real = publishing.atomic_write
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "atomic_write", full)
        with pytest.raises(StudyError, match="disk is full"):
            publish(session, target)
    assert snapshot(target) == before
    again = opened(tmp_path)
    assert again.state["done"] == 3
    publish(again, target)
    assert again.state["published"] and samples(target) == BLOCKS


def test_results_of_a_former_benchmark_can_be_read_as_long_as_there_are_some(
    asv: FakeAsv, tmp_path: Path
) -> None:
    """A machine that measured it keeps its numbers when another one publishes a newer suite."""
    target = tmp_path / "published"
    former = [Bench(f"item.{name}.track_item", {"px": [64]}, lambda _: 2.0) for name in "AB"]
    write_results(target, former, machine="other")
    edit_json(
        next((target / "other").glob("*-*.json")),
        lambda data: data["results"].pop("item.B.track_item"),
    )
    published(tmp_path)
    known = json.loads((target / "benchmarks.json").read_text())
    assert "item.A.track_item" in known and "item.B.track_item" not in known
    cells = load_evidence([target]).cells
    assert set(cells["machine"]) == {"lab", "other"}


def test_the_loaders_change_nothing_of_the_standard_run_beside_them(
    asv: FakeAsv, tmp_path: Path
) -> None:
    """One `benchmarks.json` serves both, whatever the newer suite says of the other's cells."""
    target = tmp_path / "published"
    bench = Bench("item.ByStage.track_item", {"px": [64]}, lambda _: 2.0)
    same = {"python": provenance.python(), "torch": provenance.versions()["torch"]}
    facts = {"profile": "standard", "machine": HERE}
    write_results(target, [bench], provenance=facts, params=same)
    before = json.loads((target / "benchmarks.json").read_text())
    session = opened(tmp_path, profile="loaders")
    run(session)
    new = {"unit": "ms", "version": "2"}
    edit_json(
        session.results / "benchmarks.json",
        lambda data: data.update({bench.name: bench.entry | new, "item.New.track_item": new}),
    )
    publish(session, target)
    after = json.loads((target / "benchmarks.json").read_text())
    assert after[bench.name] == before[bench.name]
    assert {"item.New.track_item", NAME} <= set(after)
    cells = load_evidence([target]).cells
    assert set(cells["name"]) == {bench.name, NAME} and set(cells["status"]) == {"ok"}


def test_a_second_run_stands_beside_the_first(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    before = {path: path.read_bytes() for path in target.glob("lab/*-quick.*")}
    session = opened(tmp_path, repeat=True)
    assert session.state["done"] == 0, "it takes no round of the first"
    run(session)
    publish(session, target)
    assert len(before) == 3
    assert {path: path.read_bytes() for path in target.glob("lab/*-quick.*")} == before
    runs = find_runs([target])
    assert [one.path.stem[-6:] for one in (*runs.first, *runs.second)] == ["-quick", "repeat"]


def test_what_is_published_again_keeps_its_line_ends(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    files = [target / "benchmarks.json", *target.glob("*/machine.json")]
    for path in files:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = [path.read_bytes() for path in files]
    published(tmp_path)
    assert [path.read_bytes() for path in files] == before and b"\r\n" in before[0]


def test_the_result_file_is_written_last(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = publishing.atomic_write

    def noting(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        real(path, content)

    session = opened(tmp_path)
    run(session)
    monkeypatch.setattr(publishing, "atomic_write", noting)
    publish(session, tmp_path / "published")
    names = [name for name in written if name != "session.json"]
    assert names[-1] == f"{COMMIT[:8]}-existing-py{PYTHON}-quick.json"
    assert len(names) == 5


def test_a_study_that_was_published_and_not_told_is_published_again(
    asv: FakeAsv, tmp_path: Path
) -> None:
    """Killed while asv's pages or the report were written: nothing is measured a second time."""
    session = opened(tmp_path)
    run(session)
    publishing.publish(session, tmp_path / "published")
    again = opened(tmp_path)
    run(again)
    assert len(asv.commands) == 3
    assert samples(publish(again, tmp_path / "published")) == BLOCKS


@pytest.mark.parametrize("at", range(5))
def test_a_kill_in_mid_publication_is_mended_by_the_next_run(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    written: list[Path] = []
    real = publishing.atomic_write

    def killed(path: Path, content: str | bytes) -> None:
        if len(written) == at:
            raise KeyboardInterrupt
        written.append(path)
        real(path, content)

    session = opened(tmp_path)
    run(session)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "atomic_write", killed)
        with pytest.raises(KeyboardInterrupt):
            publishing.publish(session, tmp_path / "published")
    (tmp_path / "published" / "lab" / ".machine.json.x.tmp").touch()
    again = opened(tmp_path)
    run(again)
    assert len(asv.commands) == 3
    assert samples(publish(again, tmp_path / "published")) == BLOCKS


def test_another_environment_is_published_beside_the_first(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = published(tmp_path)
    whole = {path: path.read_bytes() for path in (target / "lab").glob("*-py*")}
    versions = provenance.versions() | {"torch": "2.9.1+cpu"}
    monkeypatch.setattr(provenance, "versions", lambda: versions)
    monkeypatch.setattr(provenance, "python", lambda: "3.14.2t")
    publishing.check_results(target, "lab", "quick", bench="item")
    session = opened(tmp_path)
    run(session)
    publishing.publish(session, target)
    (added,) = set((target / "lab").glob("*-py*.json")) - whole.keys()
    assert added.name == f"{COMMIT[:8]}-existing-py3.14t-torch2.9.1-quick.json"
    said = json.loads(added.read_text())
    assert (said["python"], said["requirements"]["torch"]) == ("3.14t", "2.9.1+cpu")
    assert {path: path.read_bytes() for path in whole} == whole
