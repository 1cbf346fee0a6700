"""Caches wherever they are: in a wrapped dataset, a class, a function, or a module."""

from __future__ import annotations

import functools
import random
import shelve
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.stores import stores
from datasets_impl.doctor.probes.target import subject_of
from tests.test_doctor_integrity import Kept, marked_in

COUNT, LONG = 40, 60.0  # samples, and seconds that no probe needs
KEPT: dict[int, Any] = {}
RAW: dict[int, Any] = {}
ROWS = np.random.default_rng(0).random((COUNT, 32))


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return COUNT

    def cropped(self, index: int) -> Any:
        return crop(ROWS[index])

    def __getitem__(self, index: int) -> Any:
        return self.cropped(index)


def crop(row: Any) -> Any:
    first = random.randrange(16)
    return torch.from_numpy(row[first : first + 16].copy())


class InModule(Rows):
    def __getitem__(self, index: int) -> Any:
        if index not in KEPT:
            KEPT[index] = self.cropped(index)  # in a module
        return KEPT[index].clone()


class InClass(Rows):
    kept: ClassVar[OrderedDict[int, Any]] = OrderedDict()

    def __getitem__(self, index: int) -> Any:
        if index not in self.kept:
            self.kept[index] = self.cropped(index)  # in a class
        return self.kept[index].clone()


class OfItems(Rows):
    @functools.lru_cache(maxsize=None)  # noqa: B019, UP033 - as users have it  # of items
    def __getitem__(self, index: int) -> Any:
        return self.cropped(index)


class OfMethod(Rows):
    @functools.lru_cache(maxsize=1000)  # noqa: B019 - as users have it  # of a method
    def cropped(self, index: int) -> Any:
        return super().cropped(index)


class OfObject(Rows):
    def __init__(self) -> None:
        self.crop = functools.lru_cache(None)(self.cropped)

    def cropped(self, index: int) -> Any:  # of an object
        return super().cropped(index)

    def __getitem__(self, index: int) -> Any:
        return self.crop(index).clone()


class Static(Rows):
    @staticmethod  # static
    @functools.cache
    def crop(index: int) -> Any:
        return crop(ROWS[index])

    def cropped(self, index: int) -> Any:
        return self.crop(index).clone()


@functools.cache  # of a function
def cropped(index: int) -> Any:
    return crop(ROWS[index])


class OfFunction(Rows):
    def cropped(self, index: int) -> Any:
        return cropped(index).clone()


def remembered(function: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    memory: dict[int, Any] = {}

    def called(self: Any, index: int) -> Any:
        if index not in memory:
            memory[index] = function(self, index)  # in a decorator
        return memory[index].clone()

    return called


class Decorated(Rows):
    @remembered
    def __getitem__(self, index: int) -> Any:
        return self.cropped(index)


class ByDefault(Rows):
    def load(self, index: int, known: dict[int, Any] = {}) -> Any:  # noqa: B006 - as users have it
        return known.setdefault(index, self.cropped(index))  # by default

    def __getitem__(self, index: int) -> Any:
        return self.load(index).clone()


def wrapped_kept() -> Any:
    return ConcatDataset([Subset(Rows(), range(8)), Subset(Kept({}), range(20))])


def listed_kept() -> Any:
    return Subset(Kept([None] * COUNT), range(20))


def found_in(dataset: Any, **more: Any) -> list[Any]:
    subject = subject_of("x", dataset)
    seen = {"look": look(subject, LONG), "integrity": integrity(subject, LONG)}
    found = findings(seen | {"settings": subject.settings} | more)
    return [one for one in found if one.name != "shared"]


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    yield
    empty()


def empty() -> None:
    for kept in (KEPT, RAW, InClass.kept):
        kept.clear()
    for function in (OfItems.__getitem__, OfMethod.cropped, Static.crop, cropped, read):
        function.cache_clear()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("made", "name", "mark"),
    [
        (InModule, "KEPT", "in a module"),
        (InClass, "InClass.kept", "in a class"),
        (OfItems, "OfItems.__getitem__()", "of items"),
        (OfMethod, "OfMethod.cropped()", "of a method"),
        (OfObject, "crop()", "of an object"),
        (Static, "Static.crop()", "static"),
        (OfFunction, "cropped()", "of a function"),
        (Decorated, "Decorated.__getitem__.memory", "in a decorator"),
        (ByDefault, "ByDefault.load.known", "by default"),
        (wrapped_kept, "datasets[1].dataset.store", ""),
        (listed_kept, "dataset.store", ""),
    ],
)
def test_what_was_drawn_before_it_was_kept_is_named(
    made: Callable[[], Any], name: str, mark: str
) -> None:
    (found,) = found_in(made())
    assert found.name == "kept-random"
    assert found.evidence.startswith(f"Samples come from {name} as they were")
    if mark:
        assert found.places == marked_in(__file__, mark)
    else:
        assert "self.store[index]" in found.places[0]


class RawInModule(Rows):
    """As it should be: drawn from what was kept."""

    def cropped(self, index: int) -> Any:
        return crop(RAW.setdefault(index, ROWS[index].copy()))


@functools.lru_cache(None)
def read(index: int) -> Any:
    return ROWS[index].copy()


class RawOfFunction(Rows):
    def cropped(self, index: int) -> Any:
        return crop(read(index))


class PlainOfFunction(Rows):
    """Nothing is drawn."""

    def cropped(self, index: int) -> Any:
        return torch.from_numpy(read(index).copy())


class Settings(Rows):
    """A seed by its name, without which there is none."""

    def __init__(self) -> None:
        self.options = {"seed": 3, "size": 8, "first": 2, "last": 3}

    def __getitem__(self, index: int) -> Any:
        rng = np.random.default_rng(self.options.get("seed"))
        return torch.from_numpy(ROWS[index] + rng.random(32) * 0 + rng.integers(2, 9))


class Order(Rows):
    """An order that is drawn once, for all samples."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __getitem__(self, index: int) -> Any:
        if "order" not in self.state:
            self.state["order"] = np.random.permutation(COUNT)
        return torch.from_numpy(ROWS[self.state["order"][index]].copy())


class OfEpoch(Rows):
    """Drawn once for each epoch, on purpose."""

    def __init__(self) -> None:
        self.epoch, self.kept = 0, dict[tuple[int, int], Any]()

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> Any:
        if (self.epoch, index) not in self.kept:
            self.kept[self.epoch, index] = self.cropped(index)
        return self.kept[self.epoch, index].clone()


@pytest.mark.parametrize(
    "made", [RawInModule, RawOfFunction, PlainOfFunction, Settings, Order, OfEpoch]
)
def test_what_is_drawn_afterwards_is_left_in_peace(made: Callable[[], Any]) -> None:
    assert [one.name for one in found_in(made())] == []


def test_what_is_kept_is_as_before() -> None:
    made = OfFunction(), InModule(), Decorated()
    held = [[one[index] for index in range(8)] for one in made]
    for one, before in zip(made, held, strict=True):
        integrity(subject_of("x", one), LONG)
        assert all(torch.equal(one[index], row) for index, row in enumerate(before))
    assert isinstance(vars(Static)["crop"], staticmethod)


class OnDisk(Rows):
    def __init__(self, folder: Path) -> None:
        self.rows: Any = shelve.open(str(folder / "rows"))  # noqa: SIM115 - open for as long as it

    def __getitem__(self, index: int) -> Any:
        if str(index) not in self.rows:
            self.rows[str(index)] = self.cropped(index)
        return self.rows[str(index)]


def test_what_lies_in_a_file_is_never_emptied(tmp_path: Path) -> None:
    made = OnDisk(tmp_path)
    before = [made[index] for index in range(COUNT)]
    found_in(made)
    assert all(torch.equal(one, made[index]) for index, one in enumerate(before))


@pytest.mark.parametrize("made", [PlainOfFunction, RawOfFunction, RawInModule])
def test_caches_outside_the_dataset_end_with_workers_or_fill_memory(
    made: Callable[[], Any],
) -> None:
    name = "RAW" if made is RawInModule else "read()"
    loader = DataLoader(made(), num_workers=2)
    (lost,) = found_in(loader)
    assert lost.name == "lost-cache" and lost.evidence.startswith(f"Reading fills {name};")
    empty()
    (stays,) = found_in(
        DataLoader(made(), num_workers=2, persistent_workers=True),
        machine={"room": {"memory": 1000}},
    )
    assert stays.name == "endless-cache" and f"{name} and nothing leaves it" in stays.evidence


def test_a_cache_with_a_size_is_no_cache_of_all() -> None:
    small = functools.lru_cache(8)(lambda index: np.zeros(64))
    large = functools.lru_cache(1000)(lambda index: np.zeros(64))
    made = Rows()
    made.small, made.large = small, large  # type: ignore[attr-defined]
    for index in range(20):
        small(index), large(index)
    known = {one.path: one for one in stores(subject_of("x", made))}
    assert [known[f"dataset.{one}()"].keeps for one in ("small", "large")] == [False, True]
    assert known["dataset.large()"].most == 1000
