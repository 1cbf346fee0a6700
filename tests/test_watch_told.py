"""What `watch` says of a loop is true: waits, steps and free loading, at whatever end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from datasets_impl.doctor import watch
from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.arrival import Arrival
from datasets_impl.doctor.loop.gil import GilProbe
from datasets_impl.doctor.loop.record import MOST_KEPT, Pair, Record, Times
from datasets_impl.doctor.loop.seen import loop_of
from datasets_impl.doctor.loop.told import read, verdict
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import queue_seconds
from datasets_impl.errors import StudyError
from datasets_impl.loading import touch
from tests.watched import loop_in, numbers

pytestmark = pytest.mark.usefixtures("own_loops")


def test_waits_and_what_free_loading_would_give_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step and a wait of one length: half is waiting, and free loading is twice as fast."""
    now, out = [0.0], tmp_path / "watch.json"

    def spend() -> None:
        now[0] += 0.004

    def late() -> Iterator[int]:
        for batch in range(6 * held.APART):
            spend()
            yield batch

    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    monkeypatch.setattr(held, "wait_for_rest", lambda: True)
    for _batch in watch(late(), out=out, free=True):
        spend()
    loop = loop_in(out)
    assert loop.waits == pytest.approx(0.5, abs=0.1)
    assert loop.if_free is not None and loop.if_free.times == pytest.approx(2.0)


def around(usual: float) -> list[Pair]:
    """Blocks in which a step takes `usual`, and 0.02 s where loading is free."""
    return [Pair(usual * noise, 0.02 * noise * off)
            for noise, off in ((0.99, 1.001), (1.0, 1.0), (1.01, 1.0))]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "wait", "pairs", "said"),
    [
        (0.02, 0.0001, [Pair(0.0201, 0.02), Pair(0.0202, 0.0201), Pair(0.02, 0.02)],
         "Your loader is not the bottleneck."),
        (0.02, 0.02, around(0.04),
         "Training waits 50 % of its time for data. With free loading it would be 2.00"),
        (0.02, 0.0001, around(0.03), "Your loader slows down the steps themselves."),
        # The device is busy while the host waits: free loading gives nothing.
        (0.001, 0.019, [Pair(0.02, 0.02), Pair(0.02, 0.0201), Pair(0.0201, 0.02)],
         "Your loader is not the bottleneck."),
    ],
)  # fmt: skip
def test_the_answer_comes_from_free_steps(
    step: float, wait: float, pairs: list[Pair], said: str
) -> None:
    record = Record("any")
    for _ in range(100):
        record.steps.add(step)
        record.waits.add(wait)
    record.pairs = pairs
    assert verdict(loop_of(record)).startswith(said)


@pytest.mark.parametrize("columns", ["0", "-5", "x", "80"])
def test_a_width_that_no_terminal_has_hides_nothing(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    watched = watch(numbers(5), out=None)
    assert len(list(watched)) == 5
    watched.report()
    said = capsys.readouterr().err
    assert "DataLoader" in said and "Next:" not in said
    assert os.environ["COLUMNS"] == columns


def test_a_short_loop_says_so(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    for _batch in watch(numbers(5), out=out, free=True):
        pass
    loop = loop_in(out)
    assert loop.if_free is None
    assert loop.notes == ["The loop was too short to hold batches back."]


def test_epochs_that_all_end_within_their_first_step_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = watch(numbers(5), out=tmp_path / "watch.json")
    for _epoch in range(3):
        for _batch in watched:
            break
    watched.report()
    assert "came to its end; nothing is written." in capsys.readouterr().err


@pytest.mark.parametrize("told", [True, False])
def test_epochs_of_one_order_are_told(tmp_path: Path, told: bool) -> None:
    data = TensorDataset(torch.arange(8))
    sampler: Any = DistributedSampler(data, num_replicas=2, rank=0)
    loader, out = DataLoader(data, sampler=sampler), tmp_path / "watch.json"
    for epoch in range(2):
        if told:
            sampler.set_epoch(epoch)
        for _batch in watch(loader, out=out):
            pass
    assert any("set_epoch" in note for note in loop_in(out).notes) is not told


def test_a_place_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    out.write_text('{"mine": true}')
    with pytest.raises(StudyError, match=r"watch\.json holds something else"):
        watch(numbers(), out=out)
    assert json.loads(out.read_text()) == {"mine": True}


@pytest.mark.parametrize("ms", ["NaN", "-5"])
def test_times_that_cannot_be_are_refused(tmp_path: Path, ms: str) -> None:
    out = tmp_path / "watch.json"
    list(watch([1, 2, 3], out=out))
    out.write_text(re.sub(r'"median_ms": [^,]+', f'"median_ms": {ms}', out.read_text()))
    with pytest.raises(StudyError, match=r"see its field loops\.0\.step\.median_ms"):
        read(out)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"generator": 5}'])
def test_a_file_that_watch_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "watch.json"
    path.write_text(text)
    with pytest.raises(StudyError, match="name the file that watch wrote"):
        read(path)


def test_two_loaders_share_a_file(tmp_path: Path) -> None:
    out, loaders = tmp_path / "watch.json", (numbers(4), numbers(6))
    for loader in loaders:
        for _batch in watch(loader, out=out):
            pass
    assert [loop.step.count for loop in read(out).loops if loop.step] == [4, 6]


def test_times_are_bounded_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_KEPT * 8 <= 1 << 24
    monkeypatch.setattr("datasets_impl.doctor.loop.record.MOST_KEPT", 10)
    times = Times()
    for number in range(25):
        times.add(float(number))
    assert (times.count, times.total, len(times.kept)) == (25, 300.0, 10)
    assert sorted(times.kept) == [float(number) for number in range(15, 25)]


@pytest.mark.skipif(not GilProbe.possible(), reason="no GIL, or a kernel without schedstat")
@pytest.mark.parametrize("holds", [True, False])
def test_a_step_that_holds_the_gil_is_told_from_one_that_does_not(holds: bool) -> None:
    """Enough wakes are waited for, and where other programs took the cores once more of them."""
    assert any((late_share(holds) > 0.5) is holds for _ in range(5))


def late_share(holds: bool) -> float:
    probe = GilProbe()
    probe.start()
    while probe.wakes < 60:
        if holds:
            sum(range(200_000))
        else:
            time.sleep(0.01)
    probe.stop()
    return probe.late / probe.wakes


LOOPS = """
import time, torch
from torch.utils.data import DataLoader, TensorDataset
from datasets_impl.doctor import watch

def loop(name, samples, then=lambda number: None):
    batches = DataLoader(TensorDataset(torch.arange(samples)), batch_size=2)
    for (batch,) in watch(batches, out=f"{name}.json"):
        time.sleep(0.01)
        if then(int(batch[0]) // 2):
            return

def fails(number):
    if number == 20:
        raise ValueError("mine")

loop("ended", 100)
loop("broken", 100, lambda number: number == 20)
try:
    loop("failed", 100, fails)
except ValueError:
    pass
loop("stopped", 4000, lambda number: print("step", flush=True))
"""


def test_it_speaks_at_the_end_however_the_loops_ended(tmp_path: Path) -> None:
    """The last one by Ctrl-C, and with it the program, as by any error that nobody catches."""
    with subprocess.Popen(
        [sys.executable, "-c", LOOPS],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    assert child.returncode and said.count("KeyboardInterrupt") == 1, said
    *loops, _ = said.split(".json\n")
    for name, told in zip(("ended", "broken", "failed", "stopped"), loops, strict=True):
        assert "Training waits" in told or "not the bottleneck" in told, told
        assert told.endswith(f"--beside {tmp_path / name}")
        step = loop_in(tmp_path / f"{name}.json").step
        assert step and step.count >= 4


class Dearly:
    """A batch whose memory takes five seconds to give back, by a clock that only moves if told."""

    now = 0.0

    def __del__(self) -> None:
        Dearly.now += 5.0


def dearly(count: int) -> Iterator[Dearly]:
    for _ in range(count):
        Dearly.now += 3.0
        yield Dearly()


@pytest.mark.parametrize("fresh", [True, False])
def test_giving_back_a_batch_that_a_worker_sent_is_waiting_and_no_step(
    fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop lets go of a batch only when it has the next one, inside of what is its step."""
    monkeypatch.setattr(clock, "perf_counter", lambda: Dearly.now)
    monkeypatch.setattr(Arrival, "fresh", fresh)
    watched = watch(dearly(20), out=None, free=False)
    for _batch in watched:
        Dearly.now += 20.0
    record = watched.record
    # The first has no batch before it, and what is given back after the last is seen by nobody.
    expected = ([3.0] + [8.0] * 18, [20.0] * 20) if fresh else ([3.0] * 19, [20.0] + [25.0] * 19)
    assert (list(record.waits.kept), list(record.steps.kept)) == expected


def test_no_batch_is_given_back_while_loading_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "perf_counter", lambda: Dearly.now)
    monkeypatch.setattr(held, "wait_for_rest", lambda: True)
    watched = watch(dearly(4 * held.APART), out=None, free=True)
    for _batch in watched:
        Dearly.now += 20.0
    assert watched.record.pairs
    assert {pair.free for pair in watched.record.pairs[1:]} == {20.0}


latest = [0.0]


def running() -> float:
    """A clock that stands still while this thread waits for a processor; the kernel tells of that a
    moment later."""
    latest[0] = max(latest[0], time.perf_counter() - queue_seconds())
    return latest[0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_waiting_is_what_the_benchmark_of_stalls_takes_for_it(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of the same steps: until the pages of a batch are mapped, with giving them back. What
    others on the machine take falls on one of the two clocks alone, so that several loops are
    tried; the queue for a processor counts on neither."""
    monkeypatch.setattr(clock, "perf_counter", running)
    apart = [_apart(workers)]
    while len(apart) < 8 and min(apart) >= 0.03:
        apart.append(_apart(workers))
    assert min(apart) < 0.03, apart


def _apart(workers: int) -> float:
    """What `watch` says of the share of waiting, less what the benchmark of stalls takes for it."""
    large = TensorDataset(torch.zeros(2 * 40, 1 << 20))
    watched = watch(DataLoader(large, batch_size=2, num_workers=workers), out=None, free=False)
    batches, waited, trained = iter(watched), 0.0, 0.0
    for number in range(40):
        asked = running()
        touch(next(batches))
        arrived = running()
        time.sleep(0.008)  # a step beside which it is little that a mapped batch is looked at
        if number:
            waited += arrived - asked
            trained += running() - arrived
    del batches
    told = loop_of(watched.record).waits
    assert told is not None
    return abs(told - waited / (waited + trained))


@pytest.mark.parametrize(
    "content", ["I use datasets_impl.doctor.watch", '["datasets_impl.doctor.watch"]', "somebody's"]
)
def test_what_speaks_of_it_is_not_what_it_wrote(content: str, tmp_path: Path) -> None:
    out = tmp_path / "notes"
    out.write_text(content)
    with pytest.raises(StudyError, match="left as it is"):
        watch([1, 2, 3], out=out)
    assert out.read_text() == content


def test_training_goes_on_where_its_times_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "watch.json"
    watched = watch([1, 2, 3], out=out)
    out.write_text("somebody's")
    assert list(watched) == [1, 2, 3]
    assert out.read_text() == "somebody's"
    assert any("holds something else" in note for note in watched.record.notes)
    watched.report()
    assert "Next:" not in capsys.readouterr().err
