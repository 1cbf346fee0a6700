"""How near an arm's pixels are to the reference: Pillow's, resized with antialiasing by PyTorch.

Crops are compared where every loader can be told which to take: the whole (square) image, turned or
not. Orders differ, so each image is compared with the reference that it is most like.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.contest.model import CROP, Arm
from datasets_impl.decoders import decoder
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.loaders.crops import Box
from datasets_impl.loaders.resizing import write_resized

WHOLE = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
COARSE = 8  # every eighth pixel is enough to know an image again


@dataclass(frozen=True)
class Fidelity:
    """`mean_difference` in levels of 255; `psnr` in dB, None where nothing differs."""

    mean_difference: float
    psnr: float | None


def fidelity(arm: Arm, root: Path) -> Fidelity:
    """Over one epoch of all images in `root`, which should be few."""
    from skimage.metrics import peak_signal_noise_ratio  # a second of every process of the suite

    known = references(arm, root)
    coarse = known[:, ::COARSE, ::COARSE].astype(np.int16)
    options: dict[str, Any] = dict(WHOLE) if arm.cropped else {}
    found = []
    with arm.open(root, **arm.settings[0], **options) as batches:
        for batch in batches:
            images = batch.numpy().copy()  # memory of the batch may be used again
            found += list(images if arm.layout == "NHWC" else images.transpose(0, 2, 3, 1))
    nearest = [
        int(np.abs(coarse - image[::COARSE, ::COARSE]).mean(axis=(1, 2, 3)).argmin())
        for image in found
    ]
    made, expected = np.stack(found), known[nearest]
    difference = float(np.abs(made.astype(np.int16) - expected).mean())
    if not difference:
        return Fidelity(0.0, None)
    psnr: Any = peak_signal_noise_ratio(expected, made, data_range=255)  # type: ignore[no-untyped-call]
    return Fidelity(difference, float(psnr))


def references(arm: Arm, root: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What each image of `root` should become, crops also turned left to right."""
    decode = decoder("pil").decode
    pictures = [decode(Path(path).read_bytes(), None) for path in jpeg_files(root)]
    if not arm.cropped:
        return np.stack(pictures)
    made = []
    for picture in pictures:
        for flip in (False, True):
            row = np.empty((3, CROP, CROP), np.uint8)
            height, width = picture.shape[:2]
            write_resized(picture.copy(), Box(0, 0, height, width, flip), row)
            made.append(row.transpose(1, 2, 0))
    return np.stack(made)
