"""Seeds that keep what is drawn from changing: in each read, or in all workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from random import seed as reseed
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.rereading import repeated
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.model import Found, Tried
from datasets_impl.doctor.report.verdict import verdict_of

TILES, SIDE = 12, 16
LONG = 60.0  # seconds that no probe needs


def set_all_seeds(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


class Tiles(Dataset[Any]):
    """Healthy: each read turns a tile and adds noise, all drawn anew."""

    seed, epoch = 11, 0

    def __init__(self) -> None:
        self.tiles = np.random.default_rng(0).random((TILES, SIDE, SIDE), np.float32)

    def __len__(self) -> int:
        return TILES

    def prepare(self, index: int) -> None:
        pass

    def __getitem__(self, index: int) -> Any:
        self.prepare(index)
        tile = np.rot90(self.tiles[index], random.randrange(4))
        tile = tile + np.random.normal(size=tile.shape)
        return torch.from_numpy(tile).roll(int(torch.randint(SIDE, ())))


class Reset(Tiles):
    def prepare(self, index: int) -> None:
        set_all_seeds(self.seed)  # the seed


class ByName(Tiles):
    def __getitem__(self, index: int) -> Any:
        reseed(self.seed)  # the seed
        return torch.from_numpy(self.tiles[index] * random.random())


class ByGenerator(Tiles):
    def __getitem__(self, index: int) -> Any:
        rng = np.random.default_rng(seed=self.seed)  # the seed
        return torch.from_numpy(self.tiles[index] + rng.normal(size=(SIDE, SIDE)))


class ByState(Tiles):
    def __getitem__(self, index: int) -> Any:
        rng = np.random.RandomState(self.seed)  # the seed
        assert isinstance(rng, np.random.RandomState)
        return torch.from_numpy(self.tiles[index] + rng.normal(size=(SIDE, SIDE)))


class ByTorch(Tiles):
    def __getitem__(self, index: int) -> Any:
        generator = torch.Generator().manual_seed(self.seed)  # the seed
        assert isinstance(generator, torch.Generator)
        return torch.from_numpy(self.tiles[index]) + torch.rand(SIDE, generator=generator)


def shuffled(kind: Callable[[], Any]) -> DataLoader[Any]:
    return DataLoader(kind(), batch_size=4, shuffle=True)


@pytest.mark.parametrize("kind", [Reset, ByName, ByGenerator, ByState, ByTorch])
def test_a_seed_that_each_read_sets_is_told_with_its_line(kind: Callable[[], Any]) -> None:
    before = random.seed, np.random.seed, torch.manual_seed, torch.Generator, random.Random
    seen = {"repeated": repeated(subject_of("x", shuffled(kind)), LONG)}
    assert seen["repeated"]["seeded"]["versions"] > 1
    first = findings(seen)[0]
    assert first.name == "seeded" and "# the seed" in seen["repeated"]["seeded"]["lines"][0][2]
    assert first.places[0].startswith("test_doctor_seeds.py:")
    after = random.seed, np.random.seed, torch.manual_seed, torch.Generator, random.Random
    assert before == after


class ByIndex(Tiles):
    """The same in each epoch, on purpose."""

    def prepare(self, index: int) -> None:
        set_all_seeds(index)


class ByEpoch(Tiles):
    """As it should be, where the trainer sets the epoch."""

    def prepare(self, index: int) -> None:
        set_all_seeds(1000 * self.epoch)


class ByWorker(Tiles):
    """Follows PyTorch's seed, which is another one in each worker."""

    def prepare(self, index: int) -> None:
        set_all_seeds(torch.initial_seed() % 2**32)


class Once(Tiles):
    """A generator that is made when the first sample is read."""

    rng: Any = None

    def prepare(self, index: int) -> None:
        if self.rng is None:
            self.rng = np.random.default_rng(self.seed)


class Undrawn(Tiles):
    """Nothing is drawn from what is seeded."""

    def __getitem__(self, index: int) -> Any:
        set_all_seeds(self.seed)
        return torch.from_numpy(self.tiles[index].copy())


class NoSeed(Tiles):
    """What is given as a seed is another one each time."""

    def prepare(self, index: int) -> None:
        random.seed()
        np.random.seed(None)


@pytest.mark.parametrize("kind", [Tiles, ByIndex, ByEpoch, ByWorker, Once, Undrawn, NoSeed])
def test_nothing_is_said_of_seeds_that_freeze_nothing(kind: Callable[[], Any]) -> None:
    seen = {"repeated": repeated(subject_of("x", shuffled(kind)), LONG)}
    assert not seen["repeated"]["seeded"] and not findings(seen)


def test_in_validation_samples_may_stay_as_they_are() -> None:
    subject = subject_of("x", DataLoader(Reset(), batch_size=4))
    assert not repeated(subject, LONG)["seeded"]
    for kind in (ByGenerator, ByState, ByTorch):  # of which nobody says that it is for training
        assert not repeated(subject_of("x", kind()), LONG)["seeded"]


def test_of_a_transform_and_its_seed_one_finding_is_made() -> None:
    answer = {"distinct": 1, "reads": 260, "samples": 64, "seeded": {
        "names": ["random.seed"], "lines": [], "reads": 8, "versions": 8}}  # fmt: skip
    inside = {"random_transforms": ["dataset.flip (RandomFlip)"]}
    seen = {"repeated": answer, "inside": inside, "look": {"random_called": True}}
    assert [one.name for one in findings(seen)] == ["seeded"]


rng = np.random.RandomState(3)  # in a module


class Noisy(Tiles):
    """Drawn by NumPy's own generator, which PyTorch seeds in each worker."""

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.tiles[index] + np.random.normal(size=(SIDE, SIDE)))


class Held(Tiles):
    def __init__(self) -> None:
        super().__init__()
        self.draw = random.Random(5)  # held

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.tiles[index]) * self.draw.random()


class OfModule(Tiles):
    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.tiles[index]) * rng.random_sample()


def alike(worker: int) -> None:
    np.random.seed(99)  # in each


def all_alike(worker: int, number: int = 4) -> None:
    set_all_seeds(number=Tiles.seed)  # in each


def apart(worker: int) -> None:
    own = torch.initial_seed() % 2**32
    np.random.seed(own)
    random.seed(worker)


def workers_of(kind: Callable[[], Any], function: Any = None) -> Any:
    return subject_of("x", DataLoader(kind(), 4, num_workers=2, worker_init_fn=function))


ALIKE = {
    "a seed": (Noisy, alike, "# in each"),
    "a function that seeds": (Noisy, all_alike, "# in each"),
    "a lambda": (Noisy, lambda worker: np.random.seed(8), "np.random.seed(8)"),
    "held": (Held, apart, "# held"),
    "in a module": (OfModule, None, "# in a module"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIKE)
def test_what_makes_workers_draw_the_same_is_told_and_mended(name: str) -> None:
    kind, function, line = ALIKE[name]
    seen = {"repeated": repeated(workers_of(kind, function), LONG)}
    (found,) = findings(seen)
    (_, _, first), *_ = seen["repeated"]["worker_seed"]["lines"]
    assert found.name == "same-in-workers" and line in first
    assert found.places[0].startswith("test_doctor_seeds.py:")
    names = globals() if kind is OfModule else dict(globals())
    exec(found.lines, names)
    made = names[found.lines.partition("(")[0].removeprefix("def ")]
    assert not repeated(workers_of(kind, made), LONG)["workers_equal"]


def by_worker(worker: int) -> None:
    np.random.seed(100 + worker)  # by worker


class OwnOfWorker(Tiles):
    """Made in each worker, from its number alone, or also from the epoch that it is told."""

    rng: Any = None
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def seed_of(self, worker: int) -> Any:
        return worker

    def __getitem__(self, index: int) -> Any:
        if self.rng is None:
            info = get_worker_info()
            self.rng = np.random.default_rng(self.seed_of(info.id) if info else None)
        tile = torch.from_numpy(self.tiles[index] + self.rng.normal(size=(SIDE, SIDE)))
        self.rng = self.rng if get_worker_info() else None  # none that workers would copy
        return tile


class OfWorkerAndEpoch(OwnOfWorker):
    def seed_of(self, worker: int) -> Any:
        return [worker, self.epoch]


def staying(kind: Callable[[], Any], function: Any) -> Any:
    options = {"num_workers": 2, "worker_init_fn": function, "persistent_workers": True}
    return subject_of("x", DataLoader(kind(), 4, **options))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "function"), [(Noisy, by_worker), (OwnOfWorker, None)])
def test_epochs_that_draw_the_same_are_told(kind: Any, function: Any) -> None:
    seen = {"repeated": repeated(workers_of(kind, function), LONG)}
    (found,) = findings(seen)
    assert found.name == "same-in-epochs"
    if function is not None:
        assert "# by worker" in seen["repeated"]["worker_seed"]["lines"][0][2]
        exec(found.lines, names := {"np": np, "torch": torch})
        assert not findings({"repeated": repeated(workers_of(kind, names["by_worker"]), LONG)})


@pytest.mark.slow
@pytest.mark.parametrize(
    "subject",
    [
        lambda: workers_of(Noisy, apart),
        lambda: workers_of(Noisy),
        lambda: staying(Noisy, by_worker),
        lambda: workers_of(OfWorkerAndEpoch),
        lambda: subject_of("x", DataLoader(Noisy(), 4, worker_init_fn=by_worker)),  # of none
    ],
)
def test_epochs_that_differ_are_left_in_peace(subject: Any) -> None:
    assert not findings({"repeated": repeated(subject(), LONG)})


def test_a_hazard_is_not_said_to_be_mended_by_what_saves_time() -> None:
    hazard, slow = (
        Found(kind=kind, name=kind, title=f"It is {kind}", evidence="", remedy="", lines="",
              claim="", places=[]) for kind in ("wrong", "mechanism")
    )  # fmt: skip
    remedy = Tried(
        name="persistent", title="Keep workers", gain=1.9, low=1.7, high=2.1, rounds=4, workers=2,
        recommended=True, lines="", claim="", cost="", needs={}, caution="", once_seconds=0.0,
        break_even_epochs=None,
    )  # fmt: skip
    assert verdict_of([hazard, slow], [remedy], None, Heard()) == "It is wrong."
    assert "keep workers" in verdict_of([slow], [remedy], None, Heard())
    mending = remedy.model_copy(update={"mends": ["wrong"]})
    assert "What mends it: keep workers" in verdict_of([hazard], [mending], None, Heard())
