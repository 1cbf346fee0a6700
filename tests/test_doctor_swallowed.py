"""Errors that a dataset keeps to itself, and answers with another sample or with nothing."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.target import subject_of
from tests.test_doctor_integrity import marked_in

COUNT, LONG = 90, 60.0  # samples, and seconds that no probe needs
IMAGE = "OSError: cannot identify image file"


class Pictures(Dataset[Any]):
    """Healthy: every one can be decoded, or the error is the trainer's to see."""

    broken = range(5, COUNT, 12)

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.paths = [f"{number:03}.jpg" for number in range(COUNT)]
        self.pixels = dict(zip(self.paths, rng.random((COUNT, 32)), strict=True))

    def __len__(self) -> int:
        return len(self.paths)

    def decode(self, path: str) -> Any:
        if self.paths.index(path) in self.broken:
            raise OSError("cannot identify image file")
        return torch.from_numpy(self.pixels[path].copy())

    def load(self, index: int) -> Any:
        return self.decode(self.paths[index])

    def __getitem__(self, index: int) -> Any:
        return self.load(index)


class Next(Pictures):
    def __getitem__(self, index: int) -> Any:
        try:
            return self.load(index)
        except Exception:  # next
            return self[(index + 1) % len(self)]  # next


class Anyone(Pictures):
    """Augmented, so that no two reads are equal."""

    def __getitem__(self, index: int) -> Any:
        try:
            return self.load(index) + torch.rand(())
        except (OSError, ValueError):  # anyone
            return self[random.randrange(len(self))]  # anyone


class Zeros(Pictures):
    def __getitem__(self, index: int) -> Any:
        try:
            sample, label = self.load(index) + torch.rand(()), index
        except Exception as error:  # zeros
            print(error)  # zeros
            return torch.zeros(32), 0  # zeros
        return sample, label


class GoesOn(Pictures):
    """In a loop; all are drawn anew."""

    def __getitem__(self, index: int) -> Any:
        while True:
            try:
                return self.decode(self.paths[index]) + torch.rand(())
            except OSError:  # goes on
                index = (index + 1) % len(self)  # goes on


class Helped(Pictures):
    def __getitem__(self, index: int) -> Any:
        with contextlib.suppress(OSError):  # helped
            return self.load(index) + torch.rand(())
        return self.load(random.choice([0, 1, 2])) + torch.rand(())


class OtherPath(Pictures):
    def __getitem__(self, index: int) -> Any:
        path = self.paths[index]
        try:
            sample = self.decode(path)
        except OSError:  # other path
            path = random.choice(self.paths[:4])  # other path
            sample = self.decode(path)  # other path
        return sample + torch.rand(())


class Before(Pictures):
    """The one that was read before."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.arange(32.0)

    def __getitem__(self, index: int) -> Any:
        try:
            self.last = self.load(index)
        except OSError:  # before
            self.last += 0  # before
        return self.last.clone()


class Hidden(Pictures):
    """The error passes through a function of its own that raises another."""

    def load(self, index: int) -> Any:
        try:
            return super().load(index)
        except OSError as error:
            raise RuntimeError(f"sample {index}") from error

    def __getitem__(self, index: int) -> Any:
        try:
            return self.load(index)
        except RuntimeError:  # hidden
            return self[index - 1]  # hidden


def opened(pixels: Any, broken: list[str], path: str) -> Any:
    return torch.from_numpy(pixels[path].copy()) if path not in broken else Image.open(BytesIO())


class GivesUp(Pictures):
    """A function says None where it failed, and is asked for another."""

    def __init__(self) -> None:
        super().__init__()
        self.open = functools.partial(opened, self.pixels, self.paths[5::12])

    def prepared(self, index: int) -> Any:
        try:
            return self.open(self.paths[index]) + torch.rand(())
        except Exception:  # gives up
            return None  # gives up

    def __getitem__(self, index: int) -> Any:
        while (sample := self.prepared(index)) is None:
            index = random.randrange(len(self))
        return sample


def found_in(dataset: Any) -> list[Any]:
    subject = subject_of("x", dataset)
    found = findings({"look": look(subject, LONG), "integrity": integrity(subject, LONG)})
    return [one for one in found if one.name != "shared"]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        (Next, "next"),
        (Anyone, "anyone"),
        (Zeros, "zeros"),
        (GoesOn, "goes on"),
        (Helped, "helped"),
        (OtherPath, "other path"),
        (Before, "before"),
        (Hidden, "hidden"),
        (GivesUp, "gives up"),
    ],
)
def test_an_error_that_is_answered_with_another_sample_is_named(
    kind: Callable[[], Any], mark: str, wrapped: bool
) -> None:
    made = kind()
    (found,) = found_in(Subset(made, range(1, COUNT)) if wrapped else made)
    assert found.name == "swallowed"
    assert found.places == marked_in(__file__, mark)
    error = {Hidden: "RuntimeError: sample ", GivesUp: "UnidentifiedImageError: cannot"}
    assert f"sample {4 if wrapped else 5}, {error.get(kind, IMAGE)}" in found.evidence


class Cached(Pictures):
    """What is kept is asked for first; each picture is there twice, and one in four is black."""

    broken = range(0)

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, Any] = {}

    def load(self, index: int) -> Any:
        return super().load(index % 45) if index % 4 else torch.zeros(32)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.kept[index].clone()
        except KeyError:
            self.kept[index] = self.load(index)
            return self.kept[index].clone()


class Neighbours(Cached):
    """Each with the next, which a function that keeps them reads as well."""

    def load(self, index: int) -> Any:
        try:
            return self.kept[index]
        except Exception:
            self.kept[index] = Pictures.load(self, index)
            return self.kept[index]

    def __getitem__(self, index: int) -> Any:
        return self.load(index) + self.load((index + 1) % len(self))


class Prepares(Neighbours):
    """The same, by a function that gives nothing."""

    def prepare(self, index: int) -> None:
        try:
            self.kept[index].clone()
        except Exception:
            self.kept[index] = Pictures.load(self, index)

    def __getitem__(self, index: int) -> Any:
        self.prepare(index)
        self.prepare((index + 1) % len(self))
        return self.kept[index] + self.kept[(index + 1) % len(self)]


class Deltas(Cached):
    """Each is made from the one before."""

    def __getitem__(self, index: int) -> Any:
        try:
            return self.kept[index].clone()
        except KeyError:
            before = self[index - 1] if index else torch.zeros(32)
            self.kept[index] = before + Pictures.load(self, index)
            return self.kept[index].clone()


class Lazy(Pictures):
    broken = range(0)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.opened[index].clone()
        except AttributeError:
            self.opened = [self.load(one) for one in range(COUNT)]
            return self[index]


class Fallback(Pictures):
    """Another decoder has it."""

    def __getitem__(self, index: int) -> Any:
        try:
            return self.load(index)
        except OSError:
            return torch.from_numpy(self.pixels[self.paths[index]].copy())


class OtherName(Pictures):
    """Beside the list of names there are files that end otherwise."""

    def decode(self, path: str) -> Any:
        if path.endswith(".png"):
            return torch.from_numpy(self.pixels[path.replace("png", "jpg")].copy())
        return super().decode(path)

    def __getitem__(self, index: int) -> Any:
        path = self.paths[index]
        try:
            return self.decode(path)
        except OSError:
            path = path.replace("jpg", "png")
            return self.decode(path)


class Again(Pictures):
    """Tries a few times: a file system that is far away."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    def __getitem__(self, index: int) -> Any:
        for _ in range(8):
            try:
                self.tries += 1
                if self.tries % 3:
                    raise TimeoutError
                return torch.from_numpy(self.pixels[self.paths[index]].copy())
            except TimeoutError:
                continue
        raise TimeoutError


class Several(Pictures):
    """Parts that are asked one after the other."""

    broken = range(0)

    def __getitem__(self, index: int) -> Any:
        for part in (range(20), range(20, 50), range(50, COUNT)):
            try:
                return torch.from_numpy(self.pixels[self.paths[part[index]]].copy())
            except IndexError:
                index -= len(part)
        raise IndexError(index)


class Words(Pictures):
    """A word that is not known is nothing, on purpose."""

    def __init__(self) -> None:
        super().__init__()
        for path in self.paths[::7]:
            del self.pixels[path]

    def __getitem__(self, index: int) -> Any:
        try:
            return torch.from_numpy(self.pixels[self.paths[index]].copy())
        except KeyError:
            return torch.zeros(32)


class Maskless(Pictures):
    """Without a file there is no mask."""

    def __getitem__(self, index: int) -> Any:
        picture = torch.from_numpy(self.pixels[self.paths[index]].copy())
        try:
            return picture, self.load(index) > 0.5
        except OSError:
            return picture, torch.zeros(32, dtype=torch.bool)


class LeftOut(Pictures):
    """A collate function leaves out what is None."""

    def __getitem__(self, index: int) -> Any:
        with contextlib.suppress(OSError):
            return self.load(index)
        return None


@pytest.mark.parametrize(
    "made",
    [
        Pictures,
        Cached,
        Neighbours,
        Prepares,
        Deltas,
        Lazy,
        Fallback,
        OtherName,
        Again,
        Several,
        Words,
        Maskless,
        LeftOut,
        lambda: ConcatDataset([Cached(), Fallback()]),
    ],
)
def test_errors_that_are_dealt_with_are_left_in_peace(made: Callable[[], Any]) -> None:
    assert [one.name for one in found_in(made()) if one.name != "broken-sample"] == []


def test_lines_are_watched_no_longer_than_there_is_time() -> None:
    assert integrity(subject_of("x", Next()), 0.0)["swallowed"] == {}
    assert Path(__file__).name in found_in(Next())[0].places[0]
