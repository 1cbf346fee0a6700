"""What is tried on a dataset, and what is left out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms.functional import pil_to_tensor, to_tensor

from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.rereading import repeated, shared_memory
from datasets_impl.doctor.probes.room import MEMORY
from datasets_impl.doctor.probes.samples import fingerprint
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.plan import FOREMOST, LEAST_READS, plan
from datasets_impl.doctor.remedies.decoding import (
    AS_ARRAY,
    AS_PICTURE,
    another_decoder,
    open_by_simplejpeg,
)
from datasets_impl.doctor.remedies.remedies import (
    cached,
    kept_before_transform,
    other_workers,
    stored,
    transform_on_batch,
    worker_for_each_core,
)
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Patched, alike, seeded
from datasets_impl.doctor.remedies.stored import Stored
from datasets_impl.doctor.remedies.trials import _part, may_change_of, tried
from tests import doctor_gallery, doctor_hazards, doctor_healthy

ASKED = [("items", 5.0), ("causes", 7.0), ("growth", 7.0), ("tried", 17.0)]


def test_quick_samples_leave_every_probe_its_time() -> None:
    assert plan(ASKED, 1e-3, 32) == dict(ASKED)


def test_slow_samples_leave_the_time_to_what_matters_most() -> None:
    assert plan(ASKED, 0.5, 32) == {"items": 5.0, "causes": 7.0, "growth": 0.0, "tried": 24.0}
    assert plan(ASKED, 3.0, 32) == {"items": 0.0, "causes": 36.0, "growth": 0.0, "tried": 0.0}


@given(st.floats(1e-6, 1e3), st.integers(1, 512), st.permutations(ASKED))
def test_no_time_is_made_or_promised_twice(
    cost: float, batch: int, asked: list[tuple[str, float]]
) -> None:
    planned = plan(asked, cost, batch)
    assert sum(planned.values()) <= sum(seconds for _, seconds in asked) + 1e-9
    for probe, seconds in planned.items():
        samples, batches = LEAST_READS[probe]
        assert not seconds or seconds >= cost * (samples + batches * batch) - 1e-9
        assert probe in FOREMOST or seconds in (0.0, dict(asked)[probe])


class Slow(Dataset[Any]):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.01)
        return torch.zeros(4)


def test_of_slow_samples_the_trial_shows_what_workers_give() -> None:
    """With batches of 32 there would be one for all workers."""
    found = tried(Subject("slow", Slow()), 4.0, most=40.0)
    assert {"workers-2"} <= {one["name"] for one in found["remedies"]}
    assert found["samples"] >= 2 * 2 * found["batch"], "two batches for each of two workers"


@pytest.mark.parametrize(
    ("cost", "hand_over", "batch", "samples"),
    [
        (20e-6, 0.0, 64, 256),
        (20e-6, 2e-3, 64, 192),  # fewer of them, as they are
        (20e-6, 20e-3, 64, 128),  # a batch for each worker
        (20e-3, 0.0, 5, 20),  # less than the user's
        (20e-3, 20e-3, 2, 10),
    ],
)
def test_batches_that_are_slow_to_hand_over_stay_as_large(
    cost: float, hand_over: float, batch: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets_impl.doctor.remedies.trials.cores", lambda: 1)
    subject = subject_of("", DataLoader(Slow(), batch_size=64, num_workers=2))
    subject.cost, subject.answers = cost, {"batches": {"hand_over": hand_over}}
    part, found = _part(subject, list(range(64)), 0.4)
    assert (found, len(part)) == (batch, samples)


def seldom(row: torch.Tensor) -> torch.Tensor:
    return row.flip(0) if torch.rand(()) < 0.02 else row


class ByFunction(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return seldom(torch.zeros(4)) if index % 60 == 7 else torch.zeros(4)


class BySetEpoch(Dataset[Any]):
    """The trainer sets `epoch`."""

    epoch = 0

    def __getitem__(self, index: int) -> Any:
        return torch.zeros(4).roll(self.epoch)


def test_functions_that_the_code_calls_are_followed() -> None:
    assert "seldom uses 'rand'" in may_change_of(Subject("", ByFunction()))
    assert "epoch" in may_change_of(Subject("", BySetEpoch()))


class Base(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return torch.rand(4)


class Replaced(Base):
    def __getitem__(self, index: int) -> Any:
        return torch.zeros(4)


def test_what_a_class_replaces_draws_nothing() -> None:
    assert "rand" in may_change_of(Subject("", Base()))
    assert not may_change_of(Subject("", Replaced()))


@pytest.mark.parametrize(
    ("name", "says"),
    [("Seldom", "rand"), ("ByEpoch", "epoch"), ("SameNoise", "rng"), ("Decode", ""), ("Rows", "")],
)
def test_code_that_draws_is_seen_though_it_seldom_does(name: str, says: str, ward: Path) -> None:
    homes = (doctor_gallery, doctor_hazards, doctor_healthy)
    home = next(one for one in homes if hasattr(one, name))
    why = may_change_of(Subject(name, getattr(home, name)(str(ward))))
    assert bool(why) is bool(says) and says in why


class Library(Dataset[Any]):
    def __init__(self, transform: Any) -> None:
        self.transform = transform


def test_transforms_of_libraries_are_known_by_name() -> None:
    from torchvision.transforms import v2

    flipping = v2.Compose([v2.Resize(8), v2.RandomHorizontalFlip(0.01)])
    assert "RandomHorizontalFlip" in may_change_of(Subject("", Library(flipping)))
    assert not may_change_of(Subject("", Library(v2.Resize(8))))


def context(dataset: Any, steady: bool = True, may_change: str = "") -> Context:
    samples = [dataset[index] for index in range(4)]
    return Context(Subject("", dataset), dataset, samples, steady, may_change, None, 1e-3, None)


def test_what_changes_is_not_stored() -> None:
    with pytest.raises(Inapplicable, match="draws random numbers"):
        stored(context(Slow(), may_change="Flip draws random numbers"))
    with pytest.raises(Inapplicable, match="differ from read to read"):
        cached(context(Slow(), steady=False))


def test_what_differs_in_size_from_most_samples_is_not_stored() -> None:
    """A trial of large samples may read one alone, and that may be the odd one."""
    at = context(Slow())
    at.subject.nbytes = 1e6
    with pytest.raises(Inapplicable, match="differ in shape or type"):
        cached(at)


def test_stored_samples_are_those_that_were_read(tmp_path: Path) -> None:
    samples = [(np.full((3, 2), n, np.float32), n) for n in range(5)]
    for in_memory in (False, True):
        made = Stored(samples, 12, tmp_path, in_memory)
        assert len(made) == 12
        for index in range(12):
            array, number = made[index]
            assert np.array_equal(array, samples[index % 5][0]) and number == index % 5


class Photographs(Dataset[Any]):
    """Turned as their EXIF says, or not."""

    def __init__(self, paths: list[Path], turned: bool, random: bool = False) -> None:
        self.paths, self.turned, self.random = paths, turned, random

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        from PIL import ImageOps

        with Image.open(self.paths[index]) as opened:
            shown = (ImageOps.exif_transpose(opened) if self.turned else opened).convert("RGB")
        array = torch.from_numpy(np.array(shown))
        return array.flip(0) if self.random and torch.rand(()) < 0.5 else array


class Augmented(Photographs):
    """As most datasets for training are."""

    def __init__(self, paths: list[Path], transform: Any) -> None:
        super().__init__(paths, turned=False)
        self.transform = transform

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.paths[index]) as opened:
            shown = opened.convert("RGB")
        return (self.transform(shown) if self.transform else shown), index


def test_pictures_of_random_samples_are_kept_before_their_transform(tmp_path: Path) -> None:
    from torchvision.transforms import v2

    paths = [tmp_path / f"{n}.jpg" for n in range(6)]
    for n, path in enumerate(paths):
        Image.new("RGB", (40, 30), (40 * n, 0, 0)).save(path)
    flip = v2.Compose([v2.RandomCrop(20), v2.PILToTensor()])
    dataset = Augmented(paths, flip)
    at = context(Part(Subject("", dataset), range(6)), steady=False)
    at.subject = Subject("", dataset)
    (made,) = kept_before_transform(at)
    assert made.needs == {MEMORY: 21_600}
    for index in range(6):
        for one, other in zip(seeded(made.dataset, index), seeded(dataset, index), strict=True):
            assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
    at.same_each_time = True
    assert kept_before_transform(at) == [], "then samples themselves are kept"


@pytest.mark.parametrize("random", [False, True])
def test_a_decoder_that_turns_no_picture_is_not_offered_for_turned_ones(
    tmp_path: Path, random: bool
) -> None:
    """Also where samples are random: they are compared from the same place of the generators."""
    pytest.importorskip("simplejpeg")
    rows = np.arange(0, 250, 5, np.uint8)
    ramp = Image.fromarray(np.repeat(rows[:, None, None], 3, axis=2).repeat(50, axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    paths = [tmp_path / f"{n}.jpg" for n in range(4)]
    for path in paths:
        ramp.save(path, quality=95, exif=exif)
    for turned in (False, True):
        dataset = Photographs(paths, turned, random)
        at = context(dataset, steady=not random)
        other = Patched(dataset, lambda: open_by_simplejpeg([]))
        assert alike(at, other) is not turned


@pytest.mark.parametrize(
    ("make", "lines"),
    [
        (lambda shown: torch.from_numpy(np.array(shown.convert("RGB"))), AS_ARRAY),
        (lambda shown: np.asarray(shown, np.float32), AS_ARRAY),
        (lambda shown: pil_to_tensor(shown.convert("RGB")), AS_ARRAY),
        (lambda shown: to_tensor(shown), AS_ARRAY),
        (lambda shown: np.array(shown.resize((20, 20))), AS_PICTURE),
        (lambda shown: np.array(shown.convert("L")), AS_PICTURE),
        (lambda shown: shown.crop((0, 0, 9, 9)).tobytes(), AS_PICTURE),
        (lambda shown: shown.getpixel((3, 4)), AS_PICTURE),
    ],
)
def test_an_array_is_given_where_the_code_makes_one(make: Any, lines: str, tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg")
    paths = [tmp_path / f"{n}.jpg" for n in range(4)]
    for n, path in enumerate(paths):
        Image.new("RGB", (40, 30), (40 * n, 90, 7)).save(path, quality=95)

    class Pictures(Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> Any:
            with Image.open(paths[index]) as opened:
                return make(opened)

    at = context(Pictures())
    at.decoded = (40, 30, "JPEG")
    (found,) = another_decoder(at)
    assert found.lines == lines
    assert alike(at, found.dataset)


class Plain(Dataset[Any]):
    def __init__(self, transform: Any) -> None:
        self.transform, self.data = transform, torch.rand(64, 3, 8, 8)

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        row = self.data[index]
        return (self.transform(row) if self.transform else row), index


def standardised(row: torch.Tensor) -> torch.Tensor:
    return (row - row.mean()) / row.std()


def reversed_rows(row: torch.Tensor) -> torch.Tensor:
    return row.flip(0)


def halved(row: torch.Tensor) -> torch.Tensor:
    return row / 2


@pytest.mark.parametrize(
    ("transform", "offered"), [(standardised, False), (reversed_rows, False), (halved, True)]
)
def test_a_transform_that_a_batch_changes_is_not_moved(transform: Any, offered: bool) -> None:
    dataset = Plain(transform)
    at = context(Part(Subject("", dataset), range(8)))
    at.subject, at.collate = Subject("", dataset), default_collate
    found = transform_on_batch(at)
    assert bool(found) is offered
    if offered:
        assert "images, *rest" in found[0].lines, "a batch is images and labels"


def test_workers_that_stay_are_not_told_the_epoch() -> None:
    at = context(Slow(), may_change="ByEpoch is told its epoch")
    for made in (*worker_for_each_core(at), *other_workers(at)):
        assert "persistent" not in made.lines
        assert not made.workers or "anew each epoch" in made.caution


def test_workers_are_not_tried_over_an_open_file(tmp_path: Path) -> None:
    dataset = Slow()
    (tmp_path / "rows").write_text("x")
    with (
        (tmp_path / "rows").open() as dataset.file,  # type: ignore[attr-defined]
        pytest.raises(Inapplicable, match="would share what is open"),
    ):
        worker_for_each_core(context(dataset))


class Scaled(Dataset[Any]):
    """Gives a number that depends on the size of the picture."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __getitem__(self, index: int) -> Any:
        return {"image": torch.zeros(4), "scale": 200 / self.by}


def test_numbers_are_compared_too() -> None:
    at = context(Scaled(400))
    assert alike(at, Scaled(400)) and not alike(at, Scaled(200))


def test_samples_with_a_generator_of_their_own_cannot_be_compared() -> None:
    generator = np.random.default_rng(0)

    class Noise(Dataset[Any]):
        def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
            return generator.random(8)

    assert not alike(context(Noise(), steady=False), Noise())


def test_pictures_and_objects_are_compared_by_value() -> None:
    picture = Image.new("RGB", (4, 4), (1, 2, 3))
    assert fingerprint(picture) == fingerprint(picture.copy())
    assert fingerprint(picture) != fingerprint(Image.new("RGB", (4, 4), (1, 2, 4)))
    assert fingerprint({"x": object()}) == fingerprint({"x": object()})


@pytest.mark.parametrize(
    "change", [torch.Tensor.bfloat16, torch.Tensor.to_sparse, lambda x: x.requires_grad_()]
)
def test_tensors_that_numpy_does_not_know_are_compared_by_value(change: Any) -> None:
    one, same, other = (change(torch.full((2000,), n)) for n in (1.0, 1.0, 1.5))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_a_change_that_seldom_comes_is_no_sameness_of_workers(ward: Path) -> None:
    """Two workers that both change nothing have not drawn the same numbers."""
    found = repeated(Subject("", doctor_healthy.Seldom(str(ward)), cost=1e-5), 2.0)
    assert not found["workers_equal"]
    found = repeated(Subject("", doctor_hazards.SameNoise(str(ward)), cost=1e-5), 2.0)
    assert found["distinct"] > 1 and found["workers_equal"]


def test_only_memory_of_the_store_is_shared(ward: Path) -> None:
    lent = doctor_hazards.Lent(str(ward))
    assert shared_memory(lent[3], lent[3])
    assert not shared_memory(lent[3].clone(), lent[3])
    for batch_size, shared in ((None, True), (1, False), (8, False)):
        subject = subject_of("", DataLoader(lent, batch_size=batch_size))
        assert bool(repeated(subject, 0.2)["shared"]) is shared


@pytest.mark.parametrize(
    ("name", "value", "should", "told"),
    [
        ("labels", [0] * 9, 10, True),
        ("targets", torch.zeros(9), 10, True),
        ("labels", [0] * 10, 10, False),
        ("labels", [0] * 5, 10, False),  # goes over its samples twice
        ("labels", ["cat", "dog", "cow"], 10, False),
        ("label_names", [0] * 9, 10, False),
        ("target", torch.zeros(()), 10, False),
        ("label", "cat", 10, False),
    ],
)
def test_labels_that_do_not_match(name: str, value: Any, should: int, told: bool) -> None:
    class Labelled(Dataset[Any]):
        def __len__(self) -> int:
            return should

    dataset = Labelled()
    setattr(dataset, name, value)
    assert bool(look_inside(Subject("", dataset), 1.0)["lengths"]) is told
