"""A folder of distinct JPEG photographs, the same for the same arguments, cached and verified.

Image i is a crop at native scale whose place depends only on (seed, i, resolution): a smaller
count is a prefix of a larger one, and every quality encodes the same pixels. A corpus is built in
a folder of its own and renamed into place, under a lock per corpus, so a reader sees a whole corpus
or none, whoever else builds or is killed. Layout: `<cache>/corpora/<key>/images/00000.jpg` ..., and
`manifest.json` beside `images`. Command line: `python -m datasets_impl.corpus --help`.
`photographs` are those of a package, `user_images` the user's own; `build` writes the crops.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Literal, get_args

import PIL
from PIL import features
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datasets_impl.arguments import flag
from datasets_impl.corpus.build import THREADS, Writer, content_hash, file_name, replacing
from datasets_impl.corpus.photographs import Picture, bundled_photographs, source_of
from datasets_impl.corpus.user_images import Listing, list_pictures, select_pictures
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import cache_dir, check_cache, printable, user_path
from datasets_impl.files.records import content_of
from datasets_impl.system.threads import ThreadPool

# ImageNet-1k averages about 0.6 bytes per pixel (110 kB at 469 x 387). The bundled photographs
# with seed 0 and 4:2:0 come nearest at this quality; small files are a fifth headers and tables.
#   px               64     128    256    512    1024
#   bytes per pixel  0.710  0.595  0.571  0.540  0.549
DEFAULT_QUALITY = 98
MAX_COUNT = 100_000  # five digits, so that sorting by name is sorting by index
MAX_RESOLUTION = 8192
GENERATOR = 1  # raise it when the same arguments would give other pixels
LABELS = {
    "bundled": "bundled photographs",
    "own": "own images",
    "noise": "uniform noise (a bound, not a photograph)",
}
Content = Literal["photographs", "noise"]


@dataclass(frozen=True)
class CorpusSpec:
    """What to build: `count` JPEGs of `resolution` x `resolution` pixels.

    `images` is a folder of the user's own pictures (None: the bundled photographs); at the default
    quality they are encoded with their own quantization tables. `content="noise"` gives uniform
    noise, a bound that no photograph comes near; `images` plays no part in it.
    """

    count: int
    resolution: int
    quality: int = DEFAULT_QUALITY
    seed: int = 0
    images: Path | None = None
    content: Content = "photographs"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("count", 1, MAX_COUNT),
            ("resolution", 1, MAX_RESOLUTION),
            ("quality", 1, 100),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise BadArgument(
                    f"A corpus's {name} must be between {low} and {high:,} and whole, "
                    f"not {value!r}."
                )
        if self.content not in get_args(Content):
            raise StudyError(
                f'A corpus\'s content is "photographs" or "noise", not "{self.content}".'
            )
        if self.images is not None:
            user_path(self.images)

    @property
    def origin(self) -> str:
        """A key of `LABELS`."""
        if self.content == "noise":
            return "noise"
        return "bundled" if self.images is None else "own"

    @property
    def own_tables(self) -> bool:
        """Whether each crop is encoded with the quantization tables of its source."""
        return self.origin == "own" and self.quality == DEFAULT_QUALITY


class FileBytes(BaseModel):
    """Bytes per file."""

    smallest: int
    median: int
    largest: int


class Manifest(BaseModel):
    """What a corpus holds; no absolute path is in it.

    `found` pictures were listed, `used` of them served as sources (named in `sources`). `repeated`
    images equal an earlier one because their sources are too small or blank (never in a bundled
    corpus). `content_hash` is the SHA-256 over each file's name and SHA-256, in order of name; it
    is the same for the same arguments with the same version of libjpeg. Sizes are in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: int
    label: str
    content: str
    count: int
    resolution: int
    quality: str
    seed: int
    folder: str | None
    found: int
    used: int
    sources: list[str]
    skipped: list[str]
    repeated: int
    total_bytes: int
    bytes_per_pixel: float
    file_bytes: FileBytes
    content_hash: str
    pillow: str
    libjpeg_turbo: str

    def summary(self) -> str:
        """One line: how many images, of what size, at how many bytes per pixel."""
        kind = "noise images" if self.content == "noise" else "photographs"
        return (
            f"corpus: {self.count:,} {kind} of {self.resolution} px, "
            f"{self.bytes_per_pixel:.2f} bytes per pixel, {_bytes(self.total_bytes)}"
        )


@dataclass(frozen=True)
class Corpus:
    """`root` is an absolute folder that holds the JPEG files of the corpus and nothing else."""

    root: Path
    manifest: Manifest

    @property
    def paths(self) -> list[str]:
        """The absolute paths of the files, sorted; built anew at every call."""
        return [str(self.root / file_name(index)) for index in range(self.manifest.count)]

    @property
    def classes(self) -> list[int]:
        """Of each image, which of the manifest's `sources` it is a crop of."""
        held = self.manifest
        return [source_of(held.seed, index, len(held.sources)) for index in range(held.count)]


def ensure_corpus(
    spec: CorpusSpec, *, cache: Path | None = None, progress: bool = False, verify: bool = False
) -> Corpus:
    """The corpus `spec` describes: the cached one if it is whole, else built now.

    With `progress`, a bar goes to standard error, if that is a terminal. A folder of
    own pictures is listed at every call, since a changed folder is another corpus. `verify` reads
    every file of a cached corpus and builds it anew if its content is not what its manifest says;
    commands that prepare a study ask for that, measurements do not, whose page cache it would fill.

    Raises:
        StudyError: the cache cannot be written, the disk is full, or no picture can be read.
    """
    flag("progress", progress)
    flag("verify", verify)
    own = user_path(spec.images) if spec.images else None
    home = cache_dir(only_read=True, pictures=own) if cache is None else user_path(cache)
    listing = None
    if spec.origin == "own":
        assert own is not None
        check_cache(home, own)
        listing = list_pictures(own)
    folder = home / "corpora" / _key(spec, listing)
    console = Console(emoji=False, stderr=True, quiet=not progress, highlight=False, soft_wrap=True)

    def existing() -> Corpus | None:
        found = _existing(folder, spec)
        return None if found and verify and not _is_intact(found) else found

    corpus = existing()
    if corpus is None:
        if cache is None:
            cache_dir(pictures=own)

        def waiting() -> None:
            console.print("corpus: waiting for another process that builds the same one")

        # The other builder may have finished while this one waited, hence the second look.
        with replacing(folder, lambda: existing() is None, waiting) as new:
            if new is not None:
                _build(spec, listing, new, console)
        corpus = existing()
        if corpus is None:
            raise StudyError(f"The corpus {folder} was changed while it was built; run again.")
    return corpus


def _key(spec: CorpusSpec, listing: Listing | None) -> str:
    """The corpus's folder name. libjpeg is part of it: other versions may give other bytes."""
    origin: str = spec.origin
    if listing is not None:
        name = re.sub(r"[^a-z0-9]+", "-", listing.folder.name.lower()).strip("-")[:32]
        origin += f"-{name}-{listing.fingerprint[:12]}"
    quality = "own" if spec.own_tables else f"q{spec.quality}"
    return f"{origin}-n{spec.count}-px{spec.resolution}-{quality}-s{spec.seed}-jpeg{_libjpeg()}"


def _libjpeg() -> str:
    return features.version("libjpeg_turbo") or features.version("jpg") or "unknown"


def _existing(folder: Path, spec: CorpusSpec) -> Corpus | None:
    """The corpus in `folder` if it is whole: as many files and bytes as its manifest says."""
    try:
        manifest = Manifest.model_validate_json(content_of(folder / "manifest.json"))
        with os.scandir(folder / "images") as entries:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in entries]
    except (OSError, ValueError):
        return None
    whole = len(sizes) == manifest.count and sum(sizes) == manifest.total_bytes
    asked = (spec.count, spec.resolution, spec.seed, spec.content, GENERATOR)
    held = (manifest.count, manifest.resolution, manifest.seed, manifest.content)
    if not whole or asked != (*held, manifest.generator):
        return None
    return Corpus(folder / "images", manifest)


def _is_intact(corpus: Corpus) -> bool:
    """Whether every file's content is what the manifest says."""

    def file_hash(path: str) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 - many files
            return hashlib.file_digest(file, "sha256").digest()

    with ThreadPool(THREADS) as pool:
        try:
            hashes = list(pool.map(file_hash, corpus.paths))
        except OSError:
            return False
    return content_hash(hashes) == corpus.manifest.content_hash


def _build(spec: CorpusSpec, listing: Listing | None, new: Path, console: Console) -> None:
    """Write `images` and `manifest.json` into the empty folder `new`."""
    pictures: list[Picture] = []
    skipped: list[str] = []
    if listing is not None:
        with _bar(console, "reading pictures", None) as advance:
            selection = select_pictures(listing, spec.seed, THREADS, advance)
        pictures, skipped = selection.pictures, selection.skipped
    elif spec.origin == "bundled":
        pictures = bundled_photographs()
    (new / "images").mkdir()
    with _bar(console, "building corpus", spec.count) as advance:
        writer = Writer(
            spec.count,
            spec.resolution,
            spec.seed,
            new / "images",
            spec.quality,
            spec.own_tables,
            advance,
        )
        writer.run(pictures)
    sizes = sorted(image.size for image in writer.images.values())
    manifest = Manifest(
        generator=GENERATOR,
        label=LABELS[spec.origin],
        content=spec.content,
        count=spec.count,
        resolution=spec.resolution,
        quality="own tables" if spec.own_tables else str(spec.quality),
        seed=spec.seed,
        folder=printable(listing.folder.name) if listing else None,
        found=len(listing.names) if listing else len(pictures),
        used=len(pictures),
        sources=[picture.name for picture in pictures],
        skipped=skipped,
        repeated=sum(image.repeated for image in writer.images.values()),
        total_bytes=sum(sizes),
        bytes_per_pixel=round(sum(sizes) / (spec.count * spec.resolution**2), 4),
        file_bytes=FileBytes(smallest=sizes[0], median=median_low(sizes), largest=sizes[-1]),
        content_hash=content_hash([writer.images[index].file_hash for index in range(spec.count)]),
        pillow=PIL.__version__,
        libjpeg_turbo=_libjpeg(),
    )
    atomic_write(new / "manifest.json", manifest.model_dump_json(indent=2) + "\n")


@contextmanager
def _bar(console: Console, title: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar that vanishes when done, or nothing when `console` is not a terminal."""
    if console.quiet or not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


def _bytes(size: int) -> str:
    """`size` in decimal units, as disks are sold."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
