"""Image files by index and what each is labelled with: of a folder, its folders, or a list.

`LabelledFolder` is what torchvision's `ImageFolder` finds in the same folder, with the same names.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.arguments import refused
from datasets_impl.errors import BadArgument, BadImage, StudyError
from datasets_impl.files.packed import PackedPaths
from datasets_impl.files.paths import absolute_path, user_path
from datasets_impl.files.pictures import is_folder, jpeg_files
from datasets_impl.files.records import bytes_of
from datasets_impl.indexing import position

# As `torchvision.datasets.folder.IMG_EXTENSIONS`; what is no JPEG, Pillow decodes.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FORMS = "a folder of JPEG files, an ImageFolder, or a list of paths or of (path, target)"
TORCHVISIONS = "torchvision.datasets.folder"  # whose loaders give the pictures that are given here
KNOWN = ("", "builtins", TORCHVISIONS, "torch.utils.data.dataset")  # whose sets give their samples
MOST_BYTES = 8  # of a number that PyTorch has
Targets = np.ndarray[Any, Any]


class ImageFiles:
    """Files by index.

    Args:
        paths: where they are.
        targets: a number for each, or an array of them (see `as_targets`); None for no targets.
        classes: the classes' names, where targets are their numbers.
        root: the folder they are in, if it is one.

    Raises:
        BadArgument: targets that are no numbers, or not as many as there are paths.
    """

    def __init__(
        self,
        paths: Sequence[str],
        targets: Any = None,
        classes: Sequence[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self.paths = PackedPaths(paths)
        self._targets = None if targets is None else as_targets(targets, len(self.paths))
        self.classes = None if classes is None else list(classes)
        self.root = root

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        return bytes_of(self.paths[position(index, len(self.paths), "the folder")])

    def name(self, index: int) -> str:
        return self.paths[index]

    def folders(self) -> set[str]:
        """`root` and those below it that lead to files; none where the files are a list."""
        found = set[str]()
        for folder in {os.path.dirname(path) for path in self.paths if self.root}:  # noqa: PTH120
            while len(folder) >= len(str(self.root)) and folder not in found:
                found.add(folder)
                folder = os.path.dirname(folder)  # noqa: PTH120
        return found

    @property
    def targets(self) -> Any:
        """An array with a row for each file, or None."""
        return self._targets


class LabelledFolder(ImageFiles):
    """The pictures of a folder whose folders are classes: `<root>/<class>/…/<picture>`.

    `classes`, `class_to_idx`, `samples` and `targets` are those of torchvision's `ImageFolder`, but
    for the paths of `samples`: these are absolute, where `ImageFolder` begins them with `root` as
    it was given, and so stay right when the program goes to another folder.
    A folder that a link leads back into is not entered again.

    Raises:
        StudyError: there is no class folder, one has no picture, or one cannot be listed.
    """

    classes: list[str]

    def __init__(self, root: str | Path) -> None:
        folder = user_path(root)
        try:
            with os.scandir(folder) as entries:
                classes = sorted(entry.name for entry in entries if is_folder(entry))
            found = [list(_pictures(str(folder / name))) for name in classes]
        except OSError as error:
            raise StudyError(
                f"{error.filename} cannot be listed ({error.strerror or error}); name a folder "
                "that may be read, with a folder for each class."
            ) from error
        if not classes:
            raise StudyError(f"{folder} has no folder in it; name one with a folder a class.")
        empty = [name for name, paths in zip(classes, found, strict=True) if not paths]
        if empty:
            raise StudyError(
                f"{folder / empty[0]} has no picture ({', '.join(SUFFIXES)}); remove it."
            )
        targets = np.repeat(np.arange(len(classes)), [len(paths) for paths in found])
        super().__init__([path for paths in found for path in paths], targets, classes, folder)

    @property
    def targets(self) -> list[int]:
        """The number of each picture's class."""
        found: list[int] = self._targets.tolist()  # type: ignore[union-attr]
        return found

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    @property
    def samples(self) -> list[tuple[str, int]]:
        """Absolute path and target of each picture."""
        return list(zip(self.paths, self.targets, strict=True))


def _pictures(top: str) -> Iterator[str]:
    """In the order of `ImageFolder`: folders by their whole names, then files by theirs."""
    found: list[tuple[str, list[str]]] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [(top, (os.path.realpath(top),))]
    while waiting:
        folder, above = waiting.pop()
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_folder(entry):
                    real = f"{above[-1]}/{entry.name}"
                    real = os.path.realpath(entry.path) if entry.is_symlink() else real
                    if real not in above:
                        waiting.append((entry.path, (*above, real)))
                elif entry.name.lower().endswith(SUFFIXES):
                    if entry.is_file() or entry.is_symlink():
                        names.append(entry.name)  # also a link that leads nowhere: it is missed
                    else:
                        raise BadImage(f"{entry.path} is no regular file; remove it.")
        found.append((folder, sorted(names)))
    for folder, names in sorted(found):
        yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118 - many files


def as_targets(values: Any, count: int) -> Targets:
    """A number or an array of numbers for each of `count` images; whole numbers become int64.

    Raises:
        BadArgument: they are no numbers, some are masked or beyond int64, or not so many.
    """
    torch = sys.modules.get("torch")  # without which there is no tensor, and no part either
    if torch is not None and isinstance(values, torch.Tensor):
        with contextlib.suppress(TypeError, RuntimeError):  # of a kind that NumPy does not know
            values = values.detach().cpu().numpy()
    try:
        found = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # such a kind, or rows of different lengths
        found = np.asarray(None)
    beyond = found.dtype.kind == "u" and found.size and found.max() > np.iinfo(np.int64).max
    known = found.dtype.kind in "biuf" and found.dtype.itemsize <= MOST_BYTES
    if not known or not found.ndim or beyond or np.ma.is_masked(values):
        raise refused("targets", values, "a number for each image, or an array of them")
    if len(found) != count:
        raise BadArgument(f"targets has {len(found):,} entries, and there are {count:,} images.")
    return (
        found.astype(np.int64, copy=False)
        if found.dtype.kind in "iu"
        else np.ascontiguousarray(found, found.dtype.newbyteorder("="))
    )


def targets_of(source: Any) -> Targets | None:
    """Those of a source that has some.

    Raises:
        BadArgument: they are no numbers, or not as many as the source has images.
    """
    if isinstance(source, ImageFiles):
        return source._targets
    found = getattr(source, "targets", None)
    return None if found is None else as_targets(found, len(source))


def as_files(given: Any) -> ImageFiles | None:
    """The files that are meant by a folder, a list of paths or of (path, target), an object with
    such a list as its `samples`, as torchvision's `ImageFolder` is one, or a part of one of these
    as `random_split` makes it; None if it is something else.

    Targets are what an `ImageFolder`'s `target_transform` makes of them, once, here. Its
    `transform` and `loader` are not used, and a RuntimeWarning says so.

    Raises:
        StudyError: the folder has no JPEG file.
        BadArgument: something in the list is no pair of a path and a number.
    """
    if isinstance(given, ImageFiles):
        return given
    data = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(given, data.Subset):
        return _part(given)
    if isinstance(given, str | Path):
        root = user_path(given)
        return ImageFiles(jpeg_files(root), root=root)
    pairs = getattr(given, "samples", given)
    if not isinstance(pairs, list | tuple):
        return None
    if pairs and all(isinstance(each, str | os.PathLike) for each in pairs):
        return ImageFiles([_absolute(path) for path in pairs])
    try:
        paths, targets = zip(*pairs, strict=True)
    except (TypeError, ValueError):
        raise refused("source", pairs, FORMS) from None
    change = getattr(given, "target_transform", None)
    _warn_of_unused(given)
    folder = getattr(given, "root", None)
    return ImageFiles(
        [_absolute(path) for path in paths],
        targets if change is None else [change(target) for target in targets],
        getattr(given, "classes", None),
        None if folder is None else user_path(folder),
    )


def _warn_of_unused(given: Any) -> None:
    loader = getattr(given, "loader", None)
    own = loader is not None and getattr(loader, "__module__", "") != TORCHVISIONS
    unused = {
        "transform": getattr(given, "transform", None) is not None,
        "loader": own,
        # A subclass, or another's dataset: what it makes of a sample may be anything.
        "__getitem__": _module_of(given, "__getitem__") not in KNOWN,
        "__len__": _module_of(given, "__len__") not in KNOWN,
    }
    names = " and ".join(name for name, used in unused.items() if used)
    if names:
        warnings.warn(
            f"The {names} of {type(given).__name__} will not be used: only its files and targets "
            "are; crop with RandomCrops or CentreCrops, and change the batches that come out.",
            RuntimeWarning,
            stacklevel=3,
        )


def _module_of(given: Any, name: str) -> str:
    return getattr(getattr(type(given), name, None), "__module__", "") or ""


def _part(given: Any) -> ImageFiles | None:
    whole = as_files(given.dataset)
    if whole is None:
        return None
    _warn_of_unused(given)
    indices = [position(index, len(whole)) for index in given.indices]
    targets = targets_of(whole)
    return ImageFiles(
        [whole.paths[index] for index in indices],
        None if targets is None else targets[indices],
        whole.classes,
    )


def _absolute(path: Any) -> str:
    plain = isinstance(path, str) and path.isascii() and path.startswith("/")
    if plain and ".." not in path and "\0" not in path:
        return str(path)  # looked at no further: there may be millions
    return str(absolute_path(path))
