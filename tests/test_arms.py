"""Every arm of the four tasks: batches of 64, every image once an epoch, near the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm
from datasets_impl.contest.registry import ARMS
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.files.pictures import jpeg_files

COUNT, PX = 72, 40  # one whole batch and a part of one
pytestmark = pytest.mark.filterwarnings(  # Numba forgets what FFCV has compiled
    "ignore:Exception ignored in. <finalize object:pytest.PytestUnraisableExceptionWarning"
)
every_arm = pytest.mark.parametrize(
    "arm",
    [
        pytest.param(
            arm,
            id=f"{task}: {name}",
            marks=[
                pytest.mark.skipif(not arm.available, reason=f"{arm.package} is not installed"),
                *([pytest.mark.slow] if arm.cropped else []),
            ],
        )
        for (task, name), arm in ARMS.items()
    ],
)


@pytest.fixture(scope="module")
def photographs(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = ensure_corpus(CorpusSpec(COUNT, PX), cache=session_cache).root
    folder = tmp_path_factory.mktemp("arms") / "images"
    folder.mkdir()
    for path in jpeg_files(root):
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    return folder


def settings_of(arm: Arm) -> Sequence[dict[str, Any]]:
    """Of others' loaders so many that each level of each option is among them: some compile theirs
    anew for each."""
    if arm.origin != "peer":
        return arm.settings
    chosen: list[dict[str, Any]] = []
    lacking = {pair for setting in arm.settings for pair in setting.items()}
    while lacking or not chosen:
        chosen.append(max(arm.settings, key=lambda one: len(lacking & one.items())))
        lacking -= chosen[-1].items()
    return chosen


def epoch_of(arm: Arm, batches: Any) -> list[np.ndarray]:
    images = []
    for batch in batches:
        array = batch.numpy()
        assert array.dtype == np.uint8 and array.ndim == 4 and len(array) <= BATCH_SIZE
        rows = array if arm.layout == "NHWC" else array.transpose(0, 2, 3, 1)
        images += [row.copy() for row in rows]
    return images


@every_arm
def test_every_setting_gives_every_image_once_in_another_order_each_epoch(
    arm: Arm, photographs: Path
) -> None:
    files = arm.prepare(photographs)
    assert all(path.is_file() for path in files)
    pictures = [np.array(Image.open(path).convert("RGB")) for path in jpeg_files(photographs)]
    for setting in settings_of(arm):
        with arm.open(photographs, **setting) as batches:
            first, second = epoch_of(arm, batches), epoch_of(arm, batches)
        assert len(first) == len(second) == COUNT
        if arm.cropped:
            assert first[0].shape == (CROP, CROP, 3)
            assert not np.array_equal(first, second)
            continue
        assert not np.array_equal(first, second), "the second epoch has the first one's order"
        if arm.exact:
            expected = Counter(picture.tobytes() for picture in pictures)
            assert Counter(image.tobytes() for image in first) == expected
        else:
            assert nearest(first, pictures) == list(range(COUNT))


def nearest(images: list[np.ndarray], pictures: list[np.ndarray]) -> list[int]:
    """Sorted index of the picture that each image is most like."""
    known = np.stack(pictures).astype(np.int32)
    return sorted(int(np.abs(known - image).sum(axis=(1, 2, 3)).argmin()) for image in images)


def test_names_are_unique_and_every_task_has_arms_of_each_kind() -> None:
    for task in ("decode", "raw", "train", "remote"):
        assert {arm.origin for (of, _), arm in ARMS.items() if of == task} >= {"plain", "variant"}
