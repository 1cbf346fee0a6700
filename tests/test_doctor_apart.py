"""Pictures and masks that a random transform moves in different ways, and pairs that it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision import transforms, tv_tensors
from torchvision.transforms import v2

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.target import subject_of
from tests.test_doctor_integrity import marked_in

LONG, COUNT, PX = 20.0, 12, 32
CROP = [transforms.RandomCrop(24), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
TO_IMAGE = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def picture(mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (PX, PX, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


class Segmented(Dataset[Any]):
    def __init__(self, transform: Callable[..., Any], first: str = "RGB", mask: str = "L") -> None:
        self.transform = transform
        self.first, self.mask = picture(first), picture(mask)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        image = self.transform(self.first)  # apart
        return image, self.transform(self.mask)  # apart


class Seeded(Segmented):
    """The same draws for both."""

    def __getitem__(self, index: int) -> Any:
        seed = int(torch.randint(2**31, ()))
        torch.manual_seed(seed)
        image = self.transform(self.first)
        torch.manual_seed(seed)
        return image, self.transform(self.mask)


class Together(Segmented):
    def __getitem__(self, index: int) -> Any:
        image = TO_IMAGE(self.first)
        return self.transform(image, tv_tensors.Mask(np.asarray(self.mask)))


class Once(Segmented):
    """Only the picture is moved; what is learned from it is a number."""

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.first), index


def found_in(dataset: Any) -> list[Any]:
    subject = subject_of("x", dataset)
    seen = {"look": look(subject, LONG), "integrity": integrity(subject, LONG)}
    return [one for one in findings(seen) if one.name == "moved-apart"]


@pytest.mark.parametrize(
    "dataset",
    [
        lambda: Segmented(transforms.Compose(CROP)),
        lambda: Segmented(transforms.Compose(CROP), mask="P"),
        lambda: Segmented(transforms.Compose(CROP), first="L", mask="1"),
        lambda: Segmented(v2.Compose([v2.ToImage(), v2.RandomRotation(30)])),
        lambda: Segmented(v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(0.5)])),
    ],
)
def test_a_mask_that_moves_otherwise_is_named_with_its_lines(dataset: Any) -> None:
    (one,) = found_in(dataset())
    assert one.places == marked_in(__file__, "apart")


@pytest.mark.parametrize(
    "dataset",
    [
        lambda: Seeded(transforms.Compose(CROP)),
        lambda: Together(v2.RandomCrop(24)),
        lambda: Once(transforms.Compose(CROP)),
        lambda: Segmented(transforms.Compose(CROP), mask="RGB"),  # two views, as for contrast
        lambda: Segmented(transforms.Compose(CROP[2:])),
        lambda: Segmented(transforms.Compose([transforms.RandomCrop(PX), *CROP[2:]])),
        lambda: Segmented(transforms.Compose([transforms.RandomHorizontalFlip(0.0), *CROP[2:]])),
        lambda: Segmented(transforms.Compose([transforms.CenterCrop(24), *CROP[2:]])),
    ],
)
def test_pictures_that_move_together_or_may_move_apart_are_left_alone(dataset: Any) -> None:
    before = transforms.RandomCrop.forward, v2.RandomCrop.forward
    assert found_in(dataset()) == []
    assert (transforms.RandomCrop.forward, v2.RandomCrop.forward) == before
