"""`watch` leaves a loop as it was, and knows which loops are one."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, TensorDataset

from datasets_impl.doctor import watch
from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.seen import QUEUED
from datasets_impl.doctor.loop.told import read
from datasets_impl.errors import BadArgument, MissingPackage
from tests.watched import STEPS, Waiting, loop_in, numbers

pytestmark = pytest.mark.usefixtures("own_loops")


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_and_their_order_stay_as_they_are(tmp_path: Path, workers: int) -> None:
    data = TensorDataset(torch.arange(2 * STEPS))
    loader = DataLoader(data, batch_size=2, num_workers=workers)
    seen = [batch[0].tolist() for batch in watch(loader, out=tmp_path / "watch.json")]
    assert seen == [batch[0].tolist() for batch in loader]


def test_all_steps_of_all_epochs_are_counted_once(tmp_path: Path) -> None:
    loader, out = numbers(), tmp_path / "watch.json"
    for _ in range(3):
        for _batch in watch(loader, out=out, free=True):
            pass
    loop = loop_in(out)
    assert loop.step and loop.wait and loop.first_batch
    record = watch(loader, out=out).record
    assert record.seen + held.BLOCK * record.blocks == 3 * STEPS
    assert record.blocks == record.seen // held.APART
    assert record.seen - held.SETTLE * record.blocks <= loop.step.count <= record.seen
    assert loop.first_batch.count == 3
    assert (loop.batch_size, loop.batch_bytes) == (2, 16)


def calls_of_a_loop(steps: int) -> int:
    """Functions that a watched loop over so many batches calls, the first step with them."""
    batches, count = [torch.zeros(2) for _ in range(steps)], [0]

    def called(_: Any, event: str, __: Any) -> None:
        count[0] += event in ("call", "c_call")

    watched, before = watch(batches, out=None, free=False), sys.getprofile()
    sys.setprofile(called)
    try:
        for _batch in watched:
            pass
    finally:
        sys.setprofile(before)
    return count[0]


def test_a_step_costs_a_few_calls_however_long_the_loop_is() -> None:
    """Of the trainer's own thread; counted, since their time is the machine's."""
    few, many, more = map(calls_of_a_loop, (100, 300, 900))
    assert (many - few) / 200 < 30 and (more - many) / 600 < 30


def test_a_relative_place_stays_when_the_trainer_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    loader = numbers()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        monkeypatch.chdir(folder)
        for _batch in watch(loader, out="watch.json"):
            pass
    seen = loop_in(tmp_path / "watch.json").first_batch
    assert seen and seen.count == 2
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_loader_answers_all_else() -> None:
    loader = numbers()
    watched = watch(loader, out=None)
    assert len(watched) == STEPS
    assert watched.dataset is loader.dataset
    assert watch(watched) is watched
    watched.epoch = 3
    assert loader.epoch == 3  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        watched.nothing_of_the_kind  # noqa: B018
    assert pickle.loads(pickle.dumps(loader)) is not loader


def test_an_empty_loop_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    assert list(watch([], out=out)) == []
    assert not out.exists()


def test_lists_at_one_address_are_not_one_loader(tmp_path: Path) -> None:
    """A list does not say when it is gone, and the next one may lie where it lay."""
    lists: list[list[torch.Tensor]] = [[torch.zeros(2)] * 3]
    address = id(lists[0])
    for _batch in watch(lists[0], out=None):
        pass
    lists.clear()
    while address not in map(id, lists):
        now: list[torch.Tensor] = []
        lists.append(now)
        if len(lists) > 10_000:
            pytest.skip("no list lay where the first one was")
    assert list(watch(now, out=tmp_path / "watch.json")) == []
    assert not (tmp_path / "watch.json").exists()


def test_a_list_that_is_watched_anew_in_every_epoch_is_one_loader() -> None:
    batches = [torch.zeros(2)] * 3
    for _epoch in range(3):
        watched = watch(batches, out=None)
        for _batch in watched:
            pass
    assert watched.record.seen == 9


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


@pytest.mark.parametrize("bad", [5, None])
def test_what_cannot_be_iterated_is_refused(bad: Any) -> None:
    with pytest.raises(BadArgument, match="loader"):
        watch(bad, out=None)


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)  # as where it is not installed
    for name in ("loop.held", "loop.told", "loop.seen", "loop.watching", "report.paired"):
        monkeypatch.delitem(sys.modules, f"datasets_impl.doctor.{name}")
    with pytest.raises(MissingPackage, match=r"watch needs the package 'scipy': .*\[doctor\]'"):
        from datasets_impl.doctor import watch  # noqa: F401


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


@pytest.mark.parametrize(("there", "begun"), [(True, True), (True, False), (False, False)])
def test_steps_of_a_gpu_are_said_to_be_the_cpus_side(
    there: bool, begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one is in use; and a loop is not made to wait for it."""
    waited = list[bool]()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: begun)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(True))
    out = tmp_path / "watch.json"
    for _batch in watch(numbers(9), out=out, free=True):
        pass
    notes = loop_in(out).notes
    assert (QUEUED in notes) is (there and begun) and not waited
    assert "The loop was too short to hold batches back." in notes


class OneBuffer:
    """A loader of one's own that uses its memory again, as PyTorch's do not."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        buffer = torch.empty(1)
        for number in range(STEPS):
            yield buffer.fill_(number)


class Drawn(Dataset[Any]):
    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(1)


@pytest.mark.parametrize("loader", [OneBuffer(), DataLoader(Drawn())], ids=["buffer", "drawn"])
def test_batches_that_depend_on_the_step_before_stay_as_they_are(loader: Any) -> None:
    def trained(batches: Iterable[Any]) -> list[float]:
        torch.manual_seed(0)
        return [float(batch) + float(torch.rand(1)) for batch in batches]

    assert trained(watch(loader, out=None)) == trained(loader)
