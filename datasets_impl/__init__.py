"""Datasets and loaders for folders of photographs, and the tools to compare and to examine them.

    from datasets_impl import PreloadedDataset, ThreadedLoader

`__all__` lists what a reader uses. Importing this package imports nothing else: a name is loaded,
and PyTorch with it, when it is first asked for (SPEC 1 of Scientific Python). The rooms:

| room | holds |
|---|---|
| `documented` | the three datasets under test, with their flaws |
| `corrected` | the smallest correct version of each, and a cache |
| `variants` | datasets with one idea each; `registry` lists all that is measured |
| `labelled`, `sources`, `indexing` | files and their targets, where bytes come from, indices |
| `decoders`, `transforms` | JPEG decoders in one table, and the default; what is done to an item |
| `loaders` | what delivers whole batches where a `DataLoader` is the limit; images with targets |
| `formats` | stored sets: packs, LMDB, HDF5, Zarr, tar, Arrow, JPEG with restart markers |
| `convert` | `python -m datasets_impl.convert SRC DST`: stored sets in shards, on many machines |
| `doctor` | `python -m datasets_impl.doctor TARGET`: why a dataset is slow |
| `corpus`, `media` | the photographs and the storage that the study measures on |
| `observe`, `experiments`, `contest` | what the study measures beside datasets |
| `loading`, `factors` | the one epoch loop, and names that measuring and judging share |
| `files`, `system` | what all of these need of files and of the machine |
| `arguments`, `errors`, `streams` | what is refused, how it is said, and where it is printed |
| `optional` | what a dataset of anybody's may have or not |

What the package requires stands in `pyproject.toml`; each extra there is named for what it adds.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for type checkers and editors, which run no `__getattr__`
    from datasets_impl.corrected.cached import CachedDataset as CachedDataset
    from datasets_impl.corrected.jpeg import JpegDataset as JpegDataset
    from datasets_impl.corrected.mapped import ReadOnlyMappedDataset as ReadOnlyMappedDataset
    from datasets_impl.corrected.preloaded import PreloadedDataset as PreloadedDataset
    from datasets_impl.errors import StudyError as StudyError
    from datasets_impl.files.pictures import jpeg_files as jpeg_files
    from datasets_impl.formats import ensure_stored as ensure_stored
    from datasets_impl.formats import open_stored as open_stored
    from datasets_impl.formats.remote import RemoteFolder as RemoteFolder
    from datasets_impl.formats.remote import RemotePack as RemotePack
    from datasets_impl.labelled import LabelledFolder as LabelledFolder
    from datasets_impl.loaders.centre_crops import CentreCrops as CentreCrops
    from datasets_impl.loaders.decoded_images import DecodedImages as DecodedImages
    from datasets_impl.loaders.loader import ThreadedLoader as ThreadedLoader
    from datasets_impl.loaders.random_crops import RandomCrops as RandomCrops
    from datasets_impl.loaders.shards_ahead import ShardsAhead as ShardsAhead
    from datasets_impl.loaders.stored_pixels import StoredPixels as StoredPixels

__version__ = "0.4.0"
_HOMES = {
    "JpegDataset": "corrected.jpeg",
    "PreloadedDataset": "corrected.preloaded",
    "ReadOnlyMappedDataset": "corrected.mapped",
    "CachedDataset": "corrected.cached",
    "DecodedImages": "loaders.decoded_images",
    "RandomCrops": "loaders.random_crops",
    "CentreCrops": "loaders.centre_crops",
    "StoredPixels": "loaders.stored_pixels",
    "ShardsAhead": "loaders.shards_ahead",
    "RemoteFolder": "formats.remote",
    "RemotePack": "formats.remote",
    "LabelledFolder": "labelled",
    "ThreadedLoader": "loaders.loader",
    "ensure_stored": "formats",
    "open_stored": "formats",
    "jpeg_files": "files.pictures",
    "StudyError": "errors",
}
__all__ = list(_HOMES)
_WITHOUT_TORCH = ("errors", "files.pictures")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name] not in _WITHOUT_TORCH and "torch" not in sys.modules:
        from datasets_impl.files.paths import current_folder

        current_folder()  # PyTorch ends a process that is in a folder which is gone
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # the next time without this function
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
