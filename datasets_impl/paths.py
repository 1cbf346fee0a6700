"""Where the study keeps what it can rebuild, and where a user's own pictures are.

Both folders come from the environment, so that asv's processes, which take no options of ours, see
the same ones as the command lines.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from datasets_impl.errors import StudyError

CACHE_VARIABLE = "DATASET_STUDY_CACHE"
IMAGES_VARIABLE = "DATASET_STUDY_IMAGES"
APPLICATION = "pytorch-dataset-study"


def cache_dir() -> Path:
    """The absolute cache folder: `$DATASET_STUDY_CACHE`, or the user's cache folder; created.

    Raises:
        StudyError: it cannot be created or written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir(APPLICATION))
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"The cache folder {folder} cannot be created ({error.strerror}); set "
            f"{CACHE_VARIABLE} to a folder you may write."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StudyError(
            f"The cache folder {folder} cannot be written; mend its rights or set "
            f"{CACHE_VARIABLE} to a folder you may write."
        )
    return folder


def images_dir() -> Path | None:
    """The folder of the user's own pictures, `$DATASET_STUDY_IMAGES`; None when it is not set."""
    chosen = os.environ.get(IMAGES_VARIABLE)
    return Path(chosen).expanduser() if chosen else None
