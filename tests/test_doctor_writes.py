"""A dataset that writes files when it is made is made once: a second time may be cut short."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets_impl.doctor.probes.reading import FOLDER
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, load
from datasets_impl.doctor.probes.writes import Writes
from datasets_impl.doctor.process.examine import examine
from datasets_impl.doctor.process.heard import Ask, Heard
from datasets_impl.doctor.remedies import row_groups
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable
from datasets_impl.doctor.report.diagnosis import diagnose
from tests.nursery import Nursery

Act = Callable[[Path], object]
MADE = """
import json, os, pathlib, time, torch
HERE = pathlib.Path(__file__).parent
class D(torch.utils.data.Dataset):
    def __init__(self):
        time.sleep(0.3)
        {does}
    def __len__(self): return 100
    def __getitem__(self, i):
        {reads}
        return torch.full((9,), i)
"""
INDEX = 'json.dump(list(range(300)), (HERE / "index.json").open("w"))'
READS = 'self.index = json.load((HERE / "index.json").open())'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As in a process of the doctor's: its own folder, beside the user's."""
    (tmp_path / "own").mkdir()
    monkeypatch.setenv(FOLDER, str(tmp_path / "own"))
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.txt").write_text("rows")
    np.save(data / "rows.npy", np.arange(300.0))
    with sqlite3.connect(data / "rows.db") as base:
        base.execute("create table t(a)")
        base.execute("insert into t values (1)")
    return data


def filled(folder: Path) -> None:
    with sqlite3.connect(folder / "rows.db") as base:
        base.executemany("insert into t values (?)", [(one,) for one in range(300)])


WRITING: dict[str, Act] = {
    "text": lambda at: (at / "rows.txt").write_text("other"),
    "appended": lambda at: (at / "rows.txt").open("a").close(),
    "by number": lambda at: os.close(os.open(at / "new", os.O_CREAT | os.O_WRONLY)),
    "mapped": lambda at: np.load(at / "rows.npy", mmap_mode="r+"),
    "removed": lambda at: (at / "rows.txt").unlink(),
    "renamed": lambda at: (at / "rows.txt").rename(at / "new"),
    "a folder": lambda at: (at / "cache").mkdir(),
    "cut": lambda at: os.truncate(at / "rows.txt", 2),
    "linked": lambda at: (at / "new").symlink_to(at / "rows.txt"),
    "a base": filled,
    "in C": lambda at: torch.save(torch.zeros(9), str(at / "rows.pt")),
    "a program": lambda at: subprocess.run([sys.executable, "--version"], check=True),
}  # fmt: skip
READING: dict[str, Act] = {
    "text": lambda at: (at / "rows.txt").read_text(),
    "mapped": lambda at: np.load(at / "rows.npy", mmap_mode="r").sum(),
    "a base": lambda at: sqlite3.connect(at / "rows.db").execute("select * from t").fetchall(),
    "listed": lambda at: sorted(at.rglob("*")),
    "there already": lambda at: at.mkdir(exist_ok=True),
    "not there": lambda at: (at / "no").unlink(missing_ok=True),
    "a device": lambda at: Path("/dev/null").write_text("x" * 999),
    "said": lambda at: [os.write(1, b"loading\n" * 99), print("loading\n" * 99)],
    "temporary": lambda at: (at.parent / "own" / "new").write_text("x" * 999),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITING)
def test_what_writes_is_seen(name: str, place: Path) -> None:
    writes = Writes()
    with writes.on():
        WRITING[name](place)
    assert writes.found


@pytest.mark.parametrize("name", READING)
def test_what_only_reads_is_not(name: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    writes = Writes()
    with capfd.disabled(), writes.on():
        READING[name](place)
    assert not writes.found
    (place / "rows.txt").write_text("after")
    assert not writes.found, "it is over"


def loaded(folder: Path, does: str, reads: str = "pass") -> str:
    (folder / "index.json").write_text(json.dumps([0]))
    path = folder / f"made_{folder.parent.name}.py"
    path.write_text(MADE.format(does=does, reads=reads))
    return f"{path}:D"


def test_one_that_writes_is_not_made_again_and_one_that_reads_is(place: Path) -> None:
    wrote = load(loaded(place, INDEX), {})
    whole = (place / "index.json").stat().st_mtime_ns
    found = starting(wrote, 2.0)
    assert found["once"] and "again" not in found and found["made"] >= 0.3
    assert (place / "index.json").stat().st_mtime_ns == whole
    (said,) = diagnose("x", Heard({"starting": found}, writes=wrote.writes)).not_done
    assert said.startswith(f"The dataset was made only once, as making it writes {place}/index.js")
    assert "timing how it is made" in said

    read = load(loaded(place, READS), {})
    found = starting(read, 2.0)
    assert not read.writes and found["again"] >= 0.3 and "once" not in found
    assert not diagnose("x", Heard({"starting": found})).not_done


def test_files_are_written_anew_only_where_it_may_be_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = {"path": __file__, "chunk": {"rows": 9}, "gives": 1}
    monkeypatch.setattr(row_groups, "of_row_groups", lambda _: iter([call]))
    monkeypatch.setattr(row_groups, "files_of", lambda _: 1)
    subject = Subject("x", [], make=list, writes="writes /a", answers={"look": {}, "repeats": {}})
    at = Context(subject, None, [], True, "", None, 0.0, None)  # type: ignore[arg-type]
    with pytest.raises(Inapplicable, match="made only once"):
        row_groups.row_groups(at)


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("does", [INDEX, READS])
def test_what_ends_its_process_is_gone_on_with_only_where_it_may_be_made_again(
    does: str, tmp_path: Path
) -> None:
    dies = "i == 3 and os._exit(7)"
    asked = [Ask("look", 1.0), Ask("items", 0.5, "look")]
    heard = examine(loaded(tmp_path, does, dies), {}, asked)
    said = " ".join(diagnose("x", heard).not_done)
    assert len(json.loads((tmp_path / "index.json").read_text())) in (1, 300)
    if does == READS:
        assert "items" in heard.answers and "only once" not in said
    else:
        assert heard.once == ["items"] and not heard.late
        assert heard.stuck[0][0] == 3 and "index.json; so not done: timing single samples" in said


CHILD = """
import sys
from datasets_impl.doctor.process import child
child.LOADING = {loading}
child.main(sys.argv[1:])
"""
TIDIES = """
        try:
            time.sleep({sleeps})
        finally:
            (HERE / "tidied").touch()
"""


@pytest.mark.slow
@pytest.mark.parametrize("late", [True, False])
def test_a_making_that_takes_too_long_is_told_to_end_before_it_is_killed(
    late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nursery: Nursery
) -> None:
    loading = 60.0 if not late else 4.0 if sys.platform == "linux" else 9.0
    program = tmp_path / "child.py"
    program.write_text(CHILD.format(loading=loading))

    def begun(request: Path, said: Any, variables: dict[str, str]) -> Any:
        if sys.platform == "linux":  # PyTorch is imported already, which takes no part of the time
            return nursery.begun(request, said, variables, str(program))
        command = [sys.executable, str(program), str(request)]
        return subprocess.Popen(command, stderr=said, env=variables, start_new_session=True)

    monkeypatch.setattr(f"{examine.__module__}.begun", begun)
    monkeypatch.setattr(f"{examine.__module__}.LOADING", loading)
    target = loaded(tmp_path, TIDIES.format(sleeps=600 if late else 0.5))
    heard = examine(target, {}, [Ask("inside", 1.0)])
    assert (tmp_path / "tidied").exists(), heard
    if late:
        stood = f"it took longer than {loading:g} s; it stood at made_"
        told = heard.failures[""]
        assert told.startswith(stood) and "600" in told
    else:
        assert not heard.failures and "inside" in heard.answers
