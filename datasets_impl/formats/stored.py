"""Image sets in one of several formats: what every format promises its reader.

A stored set is a folder: the format's own files, `index.npy` (for each image its offset where the
format has such, its length, its digest, and its target if the set has targets), and `header.json`
(what it is, of which sources, the size of every other file). The folder gets its name only when it
is whole; see `conversion.py`. Opening checks header, index and sizes; each image is checked against
its digest the first time this process reads it.

A set may be made of shards, each a whole set in a folder of its own, with one index and one header
over all; see `shards.py`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import digest, seal
from datasets_impl.files.records import content_of

HEADER, INDEX, JOURNAL = "header.json", "index.npy", "journal"
INDEX_TYPE = np.dtype([("offset", "<u8"), ("length", "<u8"), ("digest", "<u8")])
TARGET = "target"  # the column of the index behind these, in a set that has targets
OURS = re.compile(r"(data|shard-\d{6}|part-\d{6})\b")  # how files of a set begin, in every format
OF_THE_SYSTEM = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
Kind = Literal["jpeg", "pixels"]


class Header(BaseModel):
    """What a stored set is. A newer version may say more.

    `files` holds the size of every file, in bytes, by relative path."""

    model_config = ConfigDict(extra="allow")

    format: str
    kind: Kind
    shape: list[int]  # of an image, height x width x 3; of JPEG bytes empty
    fingerprint: str  # of the source files, see `datasets_impl.files.pictures`
    chunk: int  # images that are written, and in some formats stored, together
    index_digest: str
    files: dict[str, int]
    classes: list[str] | None = None  # names of what targets number
    shard: int | None = None  # images of each shard but the last; None where there are no shards
    seal: str = ""  # over all other fields

    def sealed(self) -> Header:
        return self.model_copy(update={"seal": self._seal()})

    def is_intact(self) -> bool:
        return self.seal == self._seal()

    def _seal(self) -> str:
        fields = self.model_dump(exclude={"seal"}, exclude_none=True)  # sets of before have fewer
        return seal(fields)


def read_header(folder: Path) -> Header:
    """The header of a whole stored set, after checking that every file has its size.

    Raises:
        StudyError: there is no such set, or it is unfinished, cut short or damaged.
    """
    try:
        if folder.is_file():
            raise StudyError(f"{folder} is a file, and a stored set is a folder; name that.")
        if (folder / HEADER).exists() and not (folder / HEADER).is_file():  # a pipe is waited for
            raise damaged(folder, f"has a damaged {HEADER}")
        header = Header.model_validate_json((folder / HEADER).read_bytes())
        if not header.is_intact():
            raise damaged(folder, f"has a damaged {HEADER}")
        if header.model_extra:
            raise StudyError(
                f"{folder} was written by a newer version of datasets_impl (its {HEADER} has "
                f"{', '.join(header.model_extra)}); read it with that, or convert to another place."
            )
        for name, size in header.files.items():
            status = (folder / name).stat()
            found = status.st_size
            if found != size or not stat.S_ISREG(status.st_mode):  # a pipe is waited for
                raise damaged(folder / name, f"has {found:,} bytes and should have {size:,}")
    except ValidationError:
        raise damaged(folder, f"has a damaged {HEADER}") from None
    except FileNotFoundError as error:
        if not folder.exists():
            raise StudyError(
                f"There is no stored set {folder}; convert the images first."
            ) from None
        if not (folder / HEADER).exists() and not (folder / INDEX).exists():
            raise StudyError(
                f"{folder} is no stored set; make one of a folder of images with "
                "datasets_impl.formats.ensure_stored, and give what that returns."
            ) from None
        name = Path(error.filename).name
        raise damaged(folder, f"is no whole stored set: {name} is missing") from None
    except OSError as error:
        raise unusable(folder, error) from error
    return header


def shard_name(number: int) -> str:
    return f"shard-{number:06}"


def is_stored_set(folder: Path) -> bool:
    """Whether `folder` is a stored set, even a damaged one, and nobody else's file is in it.

    A header that was edited may name anybody's files.
    """
    try:
        header = Header.model_validate_json(content_of(folder / HEADER))
    except (OSError, ValueError):
        return False
    whole = header.is_intact()
    listed = [name for name in header.files if whole or OURS.match(name)]
    known = {Path(name) for name in (HEADER, INDEX, JOURNAL, *listed)}
    known |= {parent for name in known for parent in name.parents}
    return all(path.relative_to(folder) in known for path in folder.rglob("*"))


def mapped(path: Path) -> memoryview:
    """The bytes of a file that is not empty, mapped.

    PyTorch's mapping, and not Python's, which keeps a descriptor for as long as it lives: a set of
    many files would need more than a process may have.
    """
    import torch  # not by who only writes sets, for whom it would take most of the time

    with path.open("rb") as file:
        name, size = f"/dev/fd/{file.fileno()}", os.fstat(file.fileno()).st_size
        rows = torch.from_file(name, shared=False, size=size, dtype=torch.uint8, device="cpu")
    return memoryview(rows.numpy().data).toreadonly()


def read_index(folder: Path, header: Header) -> np.ndarray[Any, Any]:
    """The index, one `INDEX_TYPE` for each image, and its target where the set has targets.

    Raises:
        StudyError: it is damaged.
    """
    try:
        content = (folder / INDEX).read_bytes()
    except OSError as error:
        raise unusable(folder, error) from error
    if f"{digest(content):016x}" != header.index_digest:
        raise damaged(folder / INDEX, "is damaged")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def target_column(index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The targets in an index, in memory of their own; None where it has none."""
    return np.ascontiguousarray(index[TARGET]) if TARGET in (index.dtype.names or ()) else None


def unusable(folder: Path, error: Exception) -> StudyError:
    """A set that may not be read is not to be deleted for it."""
    why = getattr(error, "strerror", None) or str(error)
    if is_of_the_system(error):
        return StudyError(f"{folder} cannot be read ({why}); mend that and open it again.")
    return damaged(folder, f"cannot be read ({why})")


def is_of_the_system(error: Exception) -> bool:
    """Whether rights, descriptors or memory lack; some libraries say so in their text alone."""
    number = getattr(error, "errno", None)
    return number in OF_THE_SYSTEM or any(os.strerror(each) in str(error) for each in OF_THE_SYSTEM)


def damaged(path: Path, what: str) -> StudyError:
    return StudyError(f"{path} {what}; delete the stored set and convert the images again.")
