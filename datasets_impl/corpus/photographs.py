"""The bundled photographs, and how a crop is taken from a picture at its native scale.

scikit-image ships these eight pictures inside its wheel, so nothing is downloaded. The licences
are those stated in the docstrings of `skimage.data` (scikit-image 0.26):

| name                 | height x width | origin                      | licence               |
|----------------------|----------------|-----------------------------|-----------------------|
| astronaut            | 512 x 512      | NASA, Eileen Collins        | public domain         |
| chelsea              | 300 x 451      | Stefan van der Walt         | CC0                   |
| coffee               | 400 x 600      | Rachel Michetti             | CC0                   |
| hubble_deep_field    | 872 x 1000     | NASA, HubbleSite            | public domain         |
| immunohistochemistry | 512 x 512      | CMMI                        | no known restrictions |
| stereo_motorcycle    | 500 x 741      | Middlebury stereo 2014 [1]  | none stated           |
| retina               | 1411 x 1411    | Mikael Häggström, Wikimedia | CC0                   |
| rocket               | 427 x 640      | SpaceX                      | public domain         |

[1] D. Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth",
GCPR 2014. The left picture of the pair is used.

A crop never resizes: resizing would change how much detail a pixel holds, and with it the JPEG's
bytes per pixel and the decoder's work.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datasets_impl.errors import MissingPackage, StudyError

BUNDLED = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "stereo_motorcycle",
    "retina",
    "rocket",
)
ORIENTATIONS = 8  # four quarter turns, each plain or mirrored
# With less spare room than a quarter of the crop, the few offsets left would repeat themselves
# (a 512 px crop of a 512 px picture has one), so such a picture is mirrored as a smaller one is.
SPARE_ROOM = 4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A source of crops.

    `load()` gives uint8 pixels, height x width x 3, RGB, and is called once per build so that no
    more pictures than threads are ever in memory. `tables` are the JPEG quantization tables of the
    source, one per component (64 ints each, natural order), and `subsampling` Pillow's number for
    its chroma subsampling (-1: unknown, so the encoder's default); `tables` is None if not a JPEG.
    """

    name: str
    load: Callable[[], Pixels]
    tables: tuple[tuple[int, ...], ...] | None = None
    subsampling: int = -1


@dataclass(frozen=True)
class Window:
    """Where a crop lies: its top left corner on the (mirrored) picture, and how it is turned."""

    top: int
    left: int
    orientation: int


def bundled_photographs() -> list[Picture]:
    """The eight photographs, in the order of `BUNDLED`; their pixels are read by `load`."""
    return [Picture(name, partial(_load_bundled, name)) for name in BUNDLED]


def _load_bundled(name: str) -> Pixels:
    """Read one bundled photograph: uint8, height x width x 3, RGB.

    Raises:
        MissingPackage: scikit-image is not installed.
        StudyError: its picture is missing.
    """
    try:
        # Imported here: a benchmark that finds its corpus built should not carry scikit-image.
        data = importlib.import_module("skimage.data")
        loaded = getattr(data, name)()
    except ModuleNotFoundError as error:
        raise MissingPackage.of("The corpus", "scikit-image", "study") from error
    except Exception as error:  # a package that is broken raises any
        raise StudyError(
            f"The bundled photograph {name} could not be read ({error}); reinstall scikit-image."
        ) from error
    pixels = loaded[0] if isinstance(loaded, tuple) else loaded
    return np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)


def seeded(*parts: object) -> tuple[int, int, int, int]:
    """Four numbers in [0, 2**64) that depend on `parts` alone.

    A hash, not a generator of NumPy's: NumPy may change its streams between releases (NEP 19), and
    a corpus should outlive that.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    first, second, third, fourth = struct.unpack("<4Q", digest)
    return first, second, third, fourth


def source_of(seed: int, index: int, sources: int) -> int:
    """Which of `sources` pictures image `index` is cut from.

    Every run of `sources` consecutive images uses each picture once, in a shuffled order, so the
    mix of contents is the same at every count and every resolution.
    """
    block, place = divmod(index, sources)
    return _shuffled(seed, block, sources)[place]


def _shuffled(seed: int, block: int, sources: int) -> list[int]:
    return sorted(range(sources), key=lambda source: seeded("order", seed, block, source))


def assign_sources(seed: int, count: int, sources: int) -> list[list[int]]:
    """For each picture the ascending image indices cut from it; see `source_of`."""
    groups: list[list[int]] = [[] for _ in range(sources)]
    for start in range(0, count, sources):
        order = _shuffled(seed, start // sources, sources)
        for index, source in enumerate(order[: count - start], start):
            groups[source].append(index)
    return groups


def window_of(seed: int, index: int, draw: int, side: int, height: int, width: int) -> Window:
    """The window of image `index` at its `draw`-th attempt: a square of `side` pixels."""
    top, left, orientation, _ = seeded("window", seed, index, side, draw)
    return Window(
        top % _offsets(height, side), left % _offsets(width, side), orientation % ORIENTATIONS
    )


def _offsets(length: int, side: int) -> int:
    """How many offsets a crop of `side` has along `length` pixels; all of them when mirrored."""
    spare = length - side
    return spare + 1 if spare * SPARE_ROOM >= side else length


def _mirrored(start: int, side: int, length: int) -> NDArray[np.intp]:
    """Indices start .. start+side-1 of a picture continued for ever by mirror reflection."""
    folded = np.arange(start, start + side) % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def cut(pixels: Pixels, window: Window, side: int) -> Pixels:
    """Cut `window` out of `pixels`: a new contiguous uint8 array, side x side x 3."""
    height, width = pixels.shape[:2]
    if window.top + side <= height and window.left + side <= width:
        crop = pixels[window.top : window.top + side, window.left : window.left + side]
    else:
        rows = _mirrored(window.top, side, height)
        columns = _mirrored(window.left, side, width)
        crop = pixels[rows[:, None], columns]
    crop = np.rot90(crop, window.orientation % 4)
    if window.orientation >= 4:
        crop = crop[:, ::-1]
    # A copy even when nothing was turned: a view would keep the whole picture alive.
    return np.array(crop, order="C", copy=True)
