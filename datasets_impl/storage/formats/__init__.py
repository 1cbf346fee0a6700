"""Storage formats in one table. Adding one takes a file here and a row; one test covers all.

A format's library is imported with its module, so only when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_impl.storage.conversion import convert
from datasets_impl.storage.stored import Kind, StoredImages


@dataclass(frozen=True)
class Row:
    """`module` holds `<prefix>Format` and `<prefix>Images`; `package` is what it needs."""

    module: str
    prefix: str
    package: str
    kinds: tuple[Kind, ...] = ("jpeg", "pixels")

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.package) is not None

    def load(self, what: str) -> Any:
        """
        Raises:
            ModuleNotFoundError: the library is not installed; the message names it.
        """
        if not self.available:
            raise ModuleNotFoundError(
                f"the format needs the package {self.package!r}: pip install '.[stores]'"
            )
        module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, self.prefix + what)


FORMATS: dict[str, Row] = {
    "pack": Row("pack", "Pack", "numpy"),
    "lmdb": Row("lmdb", "Lmdb", "lmdb"),
    "hdf5": Row("hdf5", "Hdf5", "h5py"),
    "zarr": Row("zarr", "Zarr", "zarr", ("pixels",)),
    "tar": Row("tar", "Tar", "numpy"),
    "arrow": Row("arrow", "Arrow", "pyarrow"),
    "restart": Row("restart", "Restart", "numba", ("jpeg",)),
}


def ensure_stored(root_dir: str | Path, kind: Kind, name: str, **options: Any) -> StoredImages:
    """The images of `root_dir` in a format, converted first unless they are; see `convert`."""
    row = FORMATS[name]
    folder = convert(root_dir, kind, row.load("Format")(), **options)
    images: StoredImages = row.load("Images")(folder)
    return images
