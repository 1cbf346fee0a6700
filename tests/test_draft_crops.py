"""Crops by Pillow's draft mode: no larger than needed, and near those of a full decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin

from datasets_impl.variants.draft_crops import DraftCropsDataset

SIDE = 256
DIFFERENCE = 2.0  # of 255, on a picture without fine detail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    down, across = np.mgrid[:SIDE, :SIDE]
    waves = [np.sin(down / 40), np.cos(across / 30), np.sin((down + across) / 50)]
    pixels = np.stack([127 + 120 * wave for wave in waves], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    return tmp_path


@pytest.mark.parametrize(("size", "scale"), [(32, 8), (64, 4), (100, 2), (129, 1), (300, 1)])
def test_decoded_no_larger_than_needed(
    size: int, scale: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    original = JpegImagePlugin.JpegImageFile.draft

    def draft(self: Any, mode: str, wanted: tuple[int, int]) -> Any:
        asked.append(wanted)
        return original(self, mode, wanted)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", draft)
    (image,) = DraftCropsDataset(folder, size, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert (image.shape, image.dtype) == ((3, size, size), torch.uint8)
    assert asked == [(SIDE // scale, SIDE // scale)]
    whole = Image.open(folder / "a.jpg").resize((size, size), Image.Resampling.BILINEAR)
    expected = np.asarray(whole).astype(int).transpose(2, 0, 1)
    differences = [
        np.abs(image.numpy() - turned).mean() for turned in (expected, expected[:, :, ::-1])
    ]
    assert min(differences) < DIFFERENCE


def test_crops_and_turns_are_random(folder: Path) -> None:
    dataset = DraftCropsDataset(folder, 32)
    torch.manual_seed(0)
    first = [dataset[0] for _ in range(8)]
    assert len({image.numpy().tobytes() for image in first}) == 8
    torch.manual_seed(0)
    assert all(torch.equal(image, dataset[0]) for image in first)
