"""`watch`: the loop stays as it was, and what is said of it is true."""

from __future__ import annotations

import json
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from datasets_impl.doctor import watch
from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.arrival import Arrival
from datasets_impl.doctor.loop.gil import GilProbe
from datasets_impl.doctor.loop.record import MOST_KEPT, Pair, Record, Times
from datasets_impl.doctor.loop.seen import Loop, loop_of
from datasets_impl.doctor.loop.told import read, verdict
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.loading import touch


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests' own loops are not told at the end of the session, and no test goes on with those
    of another, which is called from the same place."""
    monkeypatch.setattr("datasets_impl.doctor.loop.watching._told", [])
    monkeypatch.setattr("datasets_impl.doctor.loop.watching._left", {})


STEPS = 3 * held.APART + 5


def numbers(count: int = STEPS) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.arange(2 * count)), batch_size=2)


def loop_in(path: Path) -> Loop:
    return read(path).loops[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_and_their_order_stay_as_they_are(tmp_path: Path, workers: int) -> None:
    data = TensorDataset(torch.arange(2 * STEPS))
    loader = DataLoader(data, batch_size=2, num_workers=workers)
    seen = [batch[0].tolist() for batch in watch(loader, out=tmp_path / "watch.json")]
    assert seen == [batch[0].tolist() for batch in loader]


def test_all_steps_of_all_epochs_are_counted_once(tmp_path: Path) -> None:
    loader, out = numbers(), tmp_path / "watch.json"
    for _ in range(3):
        for _batch in watch(loader, out=out):
            pass
    loop = loop_in(out)
    assert loop.step and loop.wait and loop.first_batch
    record = watch(loader, out=out).record
    assert record.seen + held.BLOCK * record.blocks == 3 * STEPS
    assert record.blocks == record.seen // held.APART
    assert record.seen - held.SETTLE * record.blocks <= loop.step.count <= record.seen
    assert loop.first_batch.count == 3
    assert (loop.batch_size, loop.batch_bytes) == (2, 16)


def test_the_loader_answers_all_else(tmp_path: Path) -> None:
    loader = numbers()
    watched = watch(loader, out=None)
    assert len(watched) == STEPS
    assert watched.dataset is loader.dataset
    assert watch(watched) is watched
    with pytest.raises(AttributeError):
        watched.nothing_of_the_kind  # noqa: B018
    assert pickle.loads(pickle.dumps(loader)) is not loader


class Waiting:
    """Batches that come late: `seconds` each, while nothing else runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __iter__(self) -> Iterator[int]:
        for batch in range(STEPS):
            time.sleep(self.seconds)
            yield batch


def test_waits_and_what_free_loading_would_give_are_told_apart(tmp_path: Path) -> None:
    """A step and a wait of one length: half is waiting, and free loading is twice as fast."""
    out = tmp_path / "watch.json"
    for _batch in watch(Waiting(0.004), out=out):
        time.sleep(0.004)
    loop = loop_in(out)
    assert loop.waits == pytest.approx(0.5, abs=0.2)
    assert loop.if_free is None or loop.if_free.times > 1.2


def test_a_loop_without_waits_is_not_called_a_bottleneck() -> None:
    record = Record("any")
    for _ in range(100):
        record.steps.add(0.02)
        record.waits.add(0.0001)
    record.pairs = [Pair(0.0201, 0.02), Pair(0.0202, 0.0201), Pair(0.02, 0.02)]
    assert verdict(loop_of(record)).startswith("Your loader is not the bottleneck.")


@pytest.mark.parametrize(
    ("usual", "wait", "said"),
    [
        (
            0.04,
            0.02,
            "Training waits 50 % of its time for data. With free loading it would be 2.00",
        ),
        (0.03, 0.0001, "Your loader slows down the steps themselves."),
    ],
)
def test_the_answer_comes_from_free_steps(usual: float, wait: float, said: str) -> None:
    record = Record("any")
    for _ in range(100):
        record.steps.add(0.02)
        record.waits.add(wait)
    record.pairs = [Pair(usual * noise, 0.02 * noise) for noise in (0.99, 1.0, 1.01)]
    record.pairs[0].free *= 1.001
    assert verdict(loop_of(record)).startswith(said)


def test_a_queue_on_the_device_may_hide_waits() -> None:
    """Where the device is busy while the host waits, free loading gives nothing."""
    record = Record("any")
    for _ in range(100):
        record.steps.add(0.001)
        record.waits.add(0.019)
    record.pairs = [Pair(0.02, 0.02), Pair(0.02, 0.0201), Pair(0.0201, 0.02)]
    assert "not the bottleneck" in verdict(loop_of(record))


def test_a_short_loop_says_so(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    for _batch in watch(numbers(5), out=out):
        pass
    loop = loop_in(out)
    assert loop.if_free is None
    assert loop.notes == ["The loop was too short to hold batches back."]


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


def test_an_empty_loop_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    assert list(watch([], out=out)) == []
    assert not out.exists()


def test_a_loader_that_overwrites_its_batches_is_left_alone(tmp_path: Path) -> None:
    loader = numbers()
    loader.overwrite = True  # type: ignore[attr-defined]
    for _batch in watch(loader, out=tmp_path / "watch.json"):
        pass
    loop = loop_in(tmp_path / "watch.json")
    assert loop.step and loop.step.count == STEPS
    assert "overwrites" in loop.notes[0]


def test_large_batches_are_not_held() -> None:
    assert held.how_many(1 << 50) == 0
    assert held.how_many(0) == held.how_many(1) == held.BLOCK


@pytest.mark.parametrize("free", [True, False])
def test_no_batch_is_kept_after_its_step_but_for_those_of_a_block(free: bool) -> None:
    import weakref

    alive: list[weakref.ref[torch.Tensor]] = []
    loader = numbers()
    most = []
    for batch in watch(loader, out=None, free=free):
        alive.append(weakref.ref(batch[0]))
        del batch
        most.append(sum(one() is not None for one in alive))
    assert max(most) == (held.BLOCK + 1 if free else 1)  # and the one before the block
    assert most.count(1) >= STEPS - 3 * (held.BLOCK if free else 0)


def test_a_place_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    out.write_text('{"mine": true}')
    with pytest.raises(StudyError, match=r"watch\.json holds something else"):
        watch(numbers(), out=out)
    assert json.loads(out.read_text()) == {"mine": True}


@pytest.mark.parametrize("bad", [5, None])
def test_what_cannot_be_iterated_is_refused(bad: Any) -> None:
    with pytest.raises(BadArgument, match="loader"):
        watch(bad, out=None)


@pytest.mark.parametrize("ms", ["NaN", "-5"])
def test_times_that_cannot_be_are_refused(tmp_path: Path, ms: str) -> None:
    out = tmp_path / "watch.json"
    list(watch([1, 2, 3], out=out))
    out.write_text(re.sub(r'"median_ms": [^,]+', f'"median_ms": {ms}', out.read_text()))
    with pytest.raises(StudyError, match="watch did not write it"):
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


SCRIPT = """
import sys, time, torch
from torch.utils.data import DataLoader, TensorDataset
from datasets_impl.doctor import watch
for batch in watch(DataLoader(TensorDataset(torch.arange(4000)), batch_size=2)):
    print("step", flush=True)
    time.sleep(0.01)
    {then}
"""


@pytest.mark.parametrize(
    "then", ["", "if batch[0][0] == 40: break", "if batch[0][0] == 40: raise ValueError('mine')"]
)
def test_it_speaks_at_the_end_however_the_loop_ends(tmp_path: Path, then: str) -> None:
    script = SCRIPT.format(then=then).replace("4000", "100")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Training waits" in done.stderr or "not the bottleneck" in done.stderr
    assert (tmp_path / "watch.json").exists()
    assert done.returncode == ("raise" in then)


def test_it_speaks_after_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(then="")],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    assert "--beside" in said
    assert loop_in(tmp_path / "watch.json").step


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
    monkeypatch.setattr(time, "perf_counter", lambda: Dearly.now)
    monkeypatch.setattr(Arrival, "fresh", fresh)
    watched = watch(dearly(20), out=None, free=False)
    for _batch in watched:
        Dearly.now += 20.0
    record = watched.record
    # The first has no batch before it, and what is given back after the last is seen by nobody.
    expected = ([3.0] + [8.0] * 18, [20.0] * 20) if fresh else ([3.0] * 19, [20.0] + [25.0] * 19)
    assert (list(record.waits.kept), list(record.steps.kept)) == expected


def test_no_batch_is_given_back_while_loading_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Dearly.now)
    monkeypatch.setattr(held, "wait_for_rest", lambda: True)
    watched = watch(dearly(4 * held.APART), out=None, free=True)
    for _batch in watched:
        Dearly.now += 20.0
    assert watched.record.pairs
    assert {pair.free for pair in watched.record.pairs[1:]} == {20.0}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_waiting_is_what_the_benchmark_of_stalls_takes_for_it(workers: int) -> None:
    """Both of the same steps: until the pages of a batch are mapped, with giving them back."""
    large = TensorDataset(torch.zeros(2 * 40, 1 << 20))
    watched = watch(DataLoader(large, batch_size=2, num_workers=workers), out=None, free=False)
    batches, waited, trained = iter(watched), 0.0, 0.0
    for number in range(40):
        asked = time.perf_counter()
        touch(next(batches))
        arrived = time.perf_counter()
        time.sleep(0.002)
        if number:
            waited += arrived - asked
            trained += time.perf_counter() - arrived
    del batches
    assert loop_of(watched.record).waits == pytest.approx(waited / (waited + trained), abs=0.03)


class _Saved:
    """A loader that says where it stands."""

    def __iter__(self) -> Iterator[int]:
        for self.given in range(1, STEPS + 1):
            yield self.given

    def state_dict(self) -> int:
        return self.given


def test_no_batch_is_lost_where_a_loop_over_an_iterator_breaks() -> None:
    batches = iter(range(1000))
    for batch in watch(batches, out=None):
        if batch == held.APART + 1:  # in a block
            break
    assert next(batches) == held.APART + 2


def test_a_loader_is_saved_where_training_stands() -> None:
    loader = _Saved()
    assert [loader.state_dict() for _ in watch(loader, out=None)] == [*range(1, STEPS + 1)]


def test_batches_that_may_be_lost_are_held_where_that_is_asked_for() -> None:
    watched = watch(_Saved(), out=None, free=True)
    assert len(list(watched)) == STEPS
    assert watched.record.blocks and not watched.record.notes


def test_an_error_of_the_loader_comes_at_its_own_step() -> None:
    class Fails:
        def __iter__(self) -> Iterator[int]:
            yield from range(held.APART + 5)
            raise ValueError("the loader's own")

    seen = []
    with pytest.raises(ValueError, match="the loader's own"):
        for batch in watch(Fails(), out=None):
            seen.append(batch)
    assert seen == [*range(held.APART + 5)]


def test_loaders_that_are_equal_are_told_apart() -> None:
    class Equal:
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    first, second = Equal(), Equal()
    assert watch(first, out=None).record is not watch(second, out=None).record
    assert watch(first, out=None).record is watch(first, out=None).record


def test_epochs_over_one_list_are_added_up(tmp_path: Path) -> None:
    batches = [1, 2, 3]
    for _ in range(3):
        assert list(watch(batches, out=tmp_path / "watch.json")) == batches
    (loop,) = read(tmp_path / "watch.json").loops
    assert loop.step and loop.step.count == 9


def epochs(out: Path, loaders: list[Any]) -> list[int]:
    """A loader made anew for each epoch, and how many epochs each record of them has."""
    for make in loaders:
        loader = make()
        for _batch in watch(loader, out=out):
            pass
    return [loop.first_batch.count for loop in read(out).loops if loop.first_batch]


def test_a_loader_that_is_made_anew_in_each_epoch_is_one(tmp_path: Path) -> None:
    assert epochs(tmp_path / "watch.json", [numbers] * 3) == [3]
    assert epochs(tmp_path / "list.json", [lambda: Waiting(0.0)] * 2) == [2]


def test_loaders_of_other_settings_places_or_times_are_several(tmp_path: Path) -> None:
    wide = partial(DataLoader, TensorDataset(torch.arange(2 * STEPS)), batch_size=4)
    assert epochs(tmp_path / "settings.json", [numbers, wide, numbers]) == [2, 1]
    assert epochs(tmp_path / "lengths.json", [numbers, lambda: numbers(STEPS + 1)]) == [1, 1]
    kept = [numbers(), numbers()]
    assert epochs(tmp_path / "kept.json", [partial(kept.__getitem__, each) for each in (0, 1)]) == [
        1, 1,
    ]  # fmt: skip
    assert epochs(tmp_path / "places.json", [numbers]) == [1]
    assert epochs(tmp_path / "places.json", [numbers]) == [1, 1]


def test_a_cell_of_a_notebook_that_runs_again_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it uses may have been changed in another cell."""
    shell = SimpleNamespace(execution_count=1)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    found = []
    for cell in (1, 2):
        shell.execution_count = cell
        found.append(epochs(tmp_path / "watch.json", [numbers] * 2))
    assert found == [[2], [2, 2]]


def test_samplers_made_anew_give_one_order(tmp_path: Path) -> None:
    def make() -> DataLoader[Any]:
        data = TensorDataset(torch.arange(2 * STEPS))
        return DataLoader(data, sampler=DistributedSampler(data, num_replicas=1, rank=0))

    epochs(tmp_path / "watch.json", [make, make])
    assert "call set_epoch" in "".join(loop_in(tmp_path / "watch.json").notes)


def test_training_goes_on_where_its_times_cannot_be_written(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    watched = watch([1, 2, 3], out=out)
    out.write_text("somebody's")
    assert list(watched) == [1, 2, 3]
    assert out.read_text() == "somebody's" and "holds something else" in watched.record.notes[0]
