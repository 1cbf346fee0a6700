"""What the user named, as it was handed over: the one loader within what times or threads it, and a
refusal of several."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, Dataset

from datasets_impl.errors import StudyError

MOST = 16  # that are looked at: more are samples
NAMED = 4  # of those that are told
LOADERS = {  # class -> module, which is imported where there is one
    "Watched": "datasets_impl.doctor.loop.watching",
    "ThreadedLoader": "datasets_impl.loaders.loader",
}
THREADS = (
    "The threads of the ThreadedLoader are not examined: its dataset is measured in loaders of "
    "PyTorch's."
)


def loader_within(found: Any) -> tuple[Any, str]:
    """The loader that is timed or threaded, as one of PyTorch's, and what is to be said of that."""
    note = ""
    while _is(found, "Watched"):
        found = found.loader
    if _is(found, "ThreadedLoader"):
        # A worker calls the function as one of the loader's threads does.
        plain, init = copy.copy(found._plain), found.worker_init_fn
        plain.worker_init_fn = init
        found, note = plain, THREADS
    return found, note


def is_data(found: Any) -> bool:
    """Whether it is an object that gives samples by index, and says how many."""
    kind = type(found)
    return not isinstance(found, type) and hasattr(kind, "__getitem__") and hasattr(kind, "__len__")


def require_one(name: str, found: Any) -> None:
    """
    Raises:
        StudyError: it is a list, tuple or dict that holds loaders or datasets, not samples; or a
            class.
    """
    if isinstance(found, type):
        raise StudyError(
            f"{name} gives the class {found.__name__} and not what it makes; name a function that "
            "calls it."
        )
    if not isinstance(found, list | tuple | dict) or isinstance(found, Dataset):
        return
    held = list(islice(found.values() if isinstance(found, dict) else found, MOST))
    loaders, datasets = sum(map(_is_loader, held)), sum(map(_is_dataset, held))
    if not loaders and not datasets:
        return
    keys = ""
    if isinstance(found, dict):
        keys = f" ({', '.join(f'{key!r:.40}' for key in islice(found, NAMED))})"
    raise StudyError(
        f"{name} gives a {type(found).__name__} of {_told(held, loaders, datasets, len(found))}"
        f"{keys}; name one: a function that returns it."
    )


def _told(held: Sequence[Any], loaders: int, datasets: int, count: int) -> str:
    if len(held) == count and count in (loaders, datasets):
        return f"{count} {'loader' if loaders else 'dataset'}{'s' if count > 1 else ''}"
    kinds = ["None" if one is None else type(one).__name__ for one in held[:NAMED]]
    return ", ".join(kinds) + (", ..." if count > NAMED else "")


def _is(one: Any, name: str) -> bool:
    kind = getattr(sys.modules.get(LOADERS[name]), name, ())
    return isinstance(one, kind)


def _is_loader(one: Any) -> bool:
    return isinstance(one, DataLoader) or any(_is(one, name) for name in LOADERS)


def _is_dataset(one: Any) -> bool:
    """Of PyTorch or of Hugging Face."""
    kind = type(one)
    home = str(kind.__module__).partition(".")[0]
    return isinstance(one, Dataset) or (home == "datasets" and kind.__name__.endswith("Dataset"))
