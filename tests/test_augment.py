"""The same batch wherever an augmentation is done, and the same as torchvision's parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import functional

from datasets_impl.errors import BadArgument
from datasets_impl.experiments.augment import MEAN, SPREAD, AugmentedBatches, FlipAndNormalise

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (10, 6, 8, 3), generator=GENERATOR, dtype=torch.uint8)
INDICES = list(range(10, 20))
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"))]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
def test_item_batch_and_device_give_equal_batches(device: str) -> None:
    loader = [(IMAGES[:6], INDICES[:6]), (IMAGES[6:], INDICES[6:])]
    for epoch in range(2):
        whole, each = (
            AugmentedBatches(loader, FlipAndNormalise(3, place), each=each)
            for place, each in ((device, False), ("cpu", True))
        )
        whole.epoch = each.epoch = epoch
        for one, other in zip(whole, each, strict=True):
            torch.testing.assert_close(one.cpu(), other)


def test_it_is_what_torchvision_does() -> None:
    transform = FlipAndNormalise()
    made = transform(IMAGES, INDICES, 0)
    for image, turned, found in zip(IMAGES, transform.turned(INDICES, 0), made, strict=True):
        expected = functional.to_dtype(image.permute(2, 0, 1), torch.float32, scale=True)
        expected = functional.horizontal_flip(expected) if turned else expected
        torch.testing.assert_close(found, functional.normalize(expected, MEAN, SPREAD))


def test_about_half_are_turned_and_epochs_differ() -> None:
    transform = FlipAndNormalise()
    first, second = (transform.turned(range(2000), epoch) for epoch in range(2))
    assert 0.45 < first.float().mean() < 0.55
    assert not torch.equal(first, second)
    assert torch.equal(first, transform.turned(range(2000), 0))


def test_an_epoch_goes_on_by_itself() -> None:
    batches = AugmentedBatches([(IMAGES, INDICES)], FlipAndNormalise())
    (first,), (second,) = batches, batches
    assert not torch.equal(first, second)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", None, 3.5])
def test_a_device_that_is_not_there(device: Any) -> None:
    with pytest.raises(BadArgument, match=r"^device is .* cannot be used: .+\.$"):
        FlipAndNormalise(0, device)


@pytest.mark.parametrize("images", [IMAGES.float(), IMAGES[0], IMAGES.permute(0, 3, 1, 2)])
def test_other_images_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(BadArgument, match=r"images are torch\..* images x height x width x 3"):
        FlipAndNormalise()(images, INDICES, 0)


def test_arguments_are_checked() -> None:
    with pytest.raises(BadArgument, match="10 images have 3 indices"):
        FlipAndNormalise()(IMAGES, INDICES[:3], 0)
    with pytest.raises(BadArgument, match=r"^seed is 1\.5"):
        FlipAndNormalise(1.5)  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match=r"^each is 'no'"):
        AugmentedBatches([], FlipAndNormalise(), each="no")  # type: ignore[arg-type]
