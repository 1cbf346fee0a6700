"""Whatever the batches, the loader and the surroundings are, training goes on as without `watch`,
and what could not be measured is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from datasets_impl.doctor import watch
from datasets_impl.doctor.loop import held, watching
from datasets_impl.doctor.loop.place import Place
from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.seen import loop_of
from datasets_impl.doctor.loop.told import read, tell
from datasets_impl.doctor.probes import clock
from tests.watched import STEPS, loop_in, numbers

pytestmark = pytest.mark.usefixtures("own_loops")


class Raising:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


class Closed:
    def __getattribute__(self, name: str) -> Any:
        raise KeyError(name)


class Answering:
    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any) -> Any:
        return self


class Counts:
    shape, nbytes = 7, 5


def nested() -> Any:
    return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


def in_itself() -> Any:
    batch: list[Any] = [torch.zeros(2, 3)]
    batch.append({"all": batch})
    return batch


def deep() -> Any:
    batch: Any = torch.zeros(2, 3)
    for _ in range(5000):
        batch = [batch]
    return batch


class Thrice:
    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Any]:
        return iter([self.batch] * 3)


@pytest.mark.parametrize(
    ("make", "size", "said"),
    [
        (lambda: torch.eye(4).to_sparse(), 4, "Tensor: RuntimeError: nbytes"),
        (nested, None, "Tensor: RuntimeError"),
        (Raising, None, "Raising: RuntimeError: no shape here"),
        (Closed, None, "Closed: KeyError"),
        (Answering, None, ""),
        (Counts, None, ""),
        (in_itself, 2, ""),
        (deep, 2, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_any_batch_is_passed_on(
    make: Callable[[], Any], size: int | None, said: str, tmp_path: Path
) -> None:
    batch, out = make(), tmp_path / "watch.json"
    seen = list(watch(Thrice(batch), out=out))
    assert len(seen) == 3 and all(one is batch for one in seen)
    loop = loop_in(out)
    assert loop.step and loop.step.count == 3 and loop.batch_size == size
    assert any(said in note and "leaves out" in note for note in loop.notes) is bool(said)


@pytest.mark.parametrize("clock_of", [lambda: 5.0, iter(range(0, -(1 << 20), -1)).__next__])
def test_a_clock_that_does_not_run_is_told(
    clock_of: Callable[[], float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(clock, "perf_counter", clock_of)
    monkeypatch.setattr(held, "REST", 0.01)
    out = tmp_path / "watch.json"
    watched = watch(numbers(held.APART + 5), out=out)
    assert len(list(watched)) == held.APART + 5
    (note,) = (one for one in loop_in(out).notes if "stood still" in one)
    tell(watched.record, out)
    assert "Nothing could be measured" in capsys.readouterr().err and note.startswith("No time")


def test_a_clock_that_is_set_while_training_runs_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    list(watch(Thrice(1), out=tmp_path / "watch.json"))
    assert loop_in(tmp_path / "watch.json").step


class Breaking:
    """A sampler that raises in mid-epoch, in a block of batches that are held or before."""

    def __init__(self, error: BaseException, after: int) -> None:
        self.error, self.after = error, after

    def __iter__(self) -> Iterator[int]:
        yield from range(self.after)
        raise self.error


@pytest.mark.parametrize("error", [ValueError("the user's"), SystemExit(3)])
@pytest.mark.parametrize("after", [5, held.APART + 3])
def test_what_a_sampler_raises_comes_as_it_is(
    error: BaseException, after: int, tmp_path: Path
) -> None:
    data = TensorDataset(torch.arange(1000))
    sampler: Any = Breaking(error, after)
    seen, out = [], tmp_path / "watch.json"
    with pytest.raises(type(error)) as raised:
        for (batch,) in watch(DataLoader(data, batch_size=1, sampler=sampler), out=out):
            seen.append(int(batch))
    assert raised.value is error and seen == [*range(after)]
    assert loop_in(out).step


class OddLoader:
    """Has no attribute that can be asked for, and a sampler that cannot be looked at."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(STEPS))

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


def test_any_loader_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    assert list(watch(OddLoader(), out=out)) == [*range(STEPS)]
    notes = loop_in(out).notes
    assert [one.partition(" could not")[0] for one in notes] == [
        "Training with free loading", "The order of the sampler",
    ]  # fmt: skip


def test_a_measure_that_fails_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a container shows no processes, or no memory."""

    def fails(*_: Any) -> Any:
        raise OSError("nothing to see\ud800")

    for name in ("_cpu_seconds", "how_many"):
        monkeypatch.setattr(held, name, fails)
        out = tmp_path / f"{name}.json"
        assert len(list(watch(numbers(), out=out, free=True))) == STEPS
        assert any("nothing to see" in note for note in loop_in(out).notes)


@pytest.mark.parametrize(
    ("rank", "speaks"),
    [("", True), ("0", True), (" 0", True), ("00", True), ("-1", True), ("first", True),
     ("1", False), ("12 ", False)],
)  # fmt: skip
def test_the_first_rank_speaks_whatever_the_variable_holds(
    rank: str, speaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    list(watch(Thrice(1), out=tmp_path / "watch.json"))
    assert (tmp_path / "watch.json").exists() is bool(watching._told) is speaks


def program(path: Path, steps: int) -> Place:
    """One that watches a loop of so many steps."""
    place, record = Place(path), Record(f"loader {steps}")
    for _ in range(steps):
        record.steps.add(0.01)
    place.records.append(record)
    return place


def steps_in(path: Path) -> int:
    step = loop_in(path).step
    return step.count if step else 0


def test_two_programs_with_one_file_lose_nothing(tmp_path: Path) -> None:
    out, second = tmp_path / "watch.json", tmp_path / "watch-2.json"
    first, other = program(out, 3), program(out, 5)
    for _ in range(2):
        first.write()
        other.write()
        assert (steps_in(out), steps_in(second)) == (3, 5)
    assert f"the loops of this one are in {second}" in loop_in(second).notes[0]
    assert not any("Another program" in note for note in loop_in(out).notes)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["watch-2.json", "watch.json"]


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    out, second = tmp_path / "watch.json", tmp_path / "watch-2.json"
    for steps in (3, 6):
        both = program(out, steps), program(out, steps + 1)
        for one in both:
            one.write()
        assert (steps_in(out), steps_in(second)) == (steps, steps + 1)
    assert not (tmp_path / "watch-3.json").exists()


def test_a_program_that_begins_later_takes_the_place_and_nothing_is_lost(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    first = program(out, 3)
    first.write()
    program(out, 5).write()
    (tmp_path / "watch-2.json").write_text("somebody's")
    first.write()
    assert (steps_in(out), steps_in(tmp_path / "watch-3.json")) == (5, 3)
    assert (tmp_path / "watch-2.json").read_text() == "somebody's"


def test_the_end_names_the_file_that_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "watch.json"
    watched = watch(Thrice(1), out=out)
    program(out, 5).write()
    list(watched)
    watched.report()
    assert str(tmp_path / "watch-2.json") in capsys.readouterr().err.replace("\n", "")
    assert len(read(tmp_path / "watch-2.json").loops) == 1
    assert loop_of(watched.record).step
