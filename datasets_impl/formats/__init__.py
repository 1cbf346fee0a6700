"""Stored sets: the images of a folder as JPEG bytes or decoded pixels, in one of these formats.

A pack, LMDB, HDF5, Zarr, tar or Arrow; or JPEG with restart markers, of which a crop can be
decoded without the rest. `ensure_stored(folder, kind, format)` converts where it must and opens the
set, and `open_stored` opens one. A set is written beside the folder of pictures, with its name and
an ending. It keeps targets and the classes' names, in every format in the same place: the index.

`python -m datasets_impl.convert` writes the same as a set of many shards, by processes of one
machine or by a cluster; it is opened and read like any other. `RemotePack` reads one where it
stands, in an object store: image by image, or whole shards into a bounded cache.

A `plan` says what a set will be, `conversion` makes it from files, `unfinished` is its folder until
then, `stored` what a reader is promised, and `images` the reader. Shards: `shards` writes them,
`where` by `workers` of this machine or a `cluster`, to `places` such as `addresses`, of files or
`pictures_elsewhere`; `remote` reads them there, through a `shard_cache`.

All formats stand in one table: `pack`, `lmdb`, `hdf5`, `zarr`, `tar`, `arrow`, `restart`. Adding
one takes a file here and a row; one test covers all. A format's library is imported with its
module, so only when it is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_impl.arguments import one_of
from datasets_impl.errors import MissingPackage, importing, installed
from datasets_impl.files.paths import user_path
from datasets_impl.formats.conversion import convert
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.stored import Kind, read_header


@dataclass(frozen=True)
class FormatModule:
    """`module` holds `<prefix>Format` and `<prefix>Images`; `package` is what it needs."""

    module: str
    prefix: str
    package: str
    kinds: tuple[Kind, ...] = ("jpeg", "pixels")

    @property
    def available(self) -> bool:
        return installed(self.package)

    def load(self, what: str) -> Any:
        """
        Raises:
            MissingPackage: the library is not installed, or broken; the message names it.
        """
        whose = f"The format {self.module!r}"
        if not self.available:
            raise MissingPackage.of(whose, self.package, "stores")
        with importing(whose, self.package, "stores"):
            module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, self.prefix + what)


FORMATS: dict[str, FormatModule] = {
    "pack": FormatModule("pack", "Pack", "numpy"),
    "lmdb": FormatModule("lmdb", "Lmdb", "lmdb"),
    "hdf5": FormatModule("hdf5", "Hdf5", "h5py"),
    "zarr": FormatModule("zarr", "Zarr", "zarr", ("pixels",)),
    "tar": FormatModule("tar", "Tar", "numpy"),
    "arrow": FormatModule("arrow", "Arrow", "pyarrow"),
    "restart": FormatModule("restart", "Restart", "numba", ("jpeg",)),
}


def ensure_stored(
    root_dir: Any,
    kind: Kind,
    name: str,
    target: str | Path | None = None,
    *,
    threads: int | None = None,
    progress: bool = False,
) -> StoredImages:
    """The images of `root_dir` in a format, converted first unless they are.

    Converting is parallel, goes on after a kill, and never leaves a set that passes for whole.
    Every image is checked against its digest when it is first read. A picture that changed is told
    by its path, size, time and some of its content (see `files.pictures.fingerprint`); after a
    change that keeps all of these, delete the set.

    Args:
        root_dir: folder of JPEG files, with the folders in it; or what has targets, which come
            along: a `LabelledFolder`, torchvision's `ImageFolder`, or a list of (path, target).
        kind: "jpeg" for the encoded bytes, "pixels" for decoded images of one size.
        name: a format of `FORMATS`.
        target: where the set goes; by default `<root_dir>.<kind>.<name>` beside the folder.
        threads: as many as there are cores by default.
        progress: show a bar on the terminal.

    Raises:
        BadArgument: no such format, or it does not store that kind.
        MissingPackage: its library is not installed.
        StudyError: see `convert`.
    """
    row = FORMATS[one_of("name", name, FORMATS)]
    form = row.load("Format")()
    folder = convert(root_dir, kind, form, target, threads=threads, progress=progress)
    images: StoredImages = row.load("Images")(folder)
    return images


def open_stored(folder: str | Path) -> StoredImages:
    """A stored set in whichever format its header names.

    Raises:
        StudyError: it is none, or damaged; see `read_header`.
        MissingPackage: its library is not installed.
    """
    path = user_path(folder)
    images: StoredImages = FORMATS[one_of("format", read_header(path).format, FORMATS)].load(
        "Images"
    )(path)
    return images
