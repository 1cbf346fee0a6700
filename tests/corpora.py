"""What several tests of corpora need: a small one, its bytes, what is left over, a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from datasets_impl.corpus import Corpus, CorpusSpec

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = CorpusSpec(count=24, resolution=64)


def contents(corpus: Corpus) -> list[bytes]:
    return [Path(path).read_bytes() for path in corpus.paths]


def leftovers(cache: Path) -> list[str]:
    """What is in the cache beside whole corpora."""
    return [path.name for path in (cache / "corpora").glob(".*")]


def picture(seed: int, width: int = 90, height: int = 70) -> Image.Image:
    """A smooth picture with some grain, different for every seed."""
    numbers = np.random.default_rng(seed)
    coarse = Image.fromarray(numbers.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = numbers.integers(-9, 10, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def noise(path: Path, width: int, height: int, seed: int = 0) -> None:
    """A JPEG file that is like no other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=95)
