"""Convert a folder of pictures into a set of shards, on this machine or on many.

    python -m datasets_impl.convert photos photos.jpeg.pack --format pack
    python -m datasets_impl.convert s3://bucket/photos s3://bucket/packed --format tar \\
        --on tcp://scheduler:8786

Local processes work unless `--on` names the scheduler of a Dask cluster (`pip install '<this
folder>[cluster]'` here and on its workers); the workers see SRC and DST under the same names. The
result has the same bytes for one worker or many. Stop it at any time; the same command goes on.
`open_stored(DST)`, and every loader, reads the shards as one set.

In Python, `convert_to_shards(..., executor=...)` takes any `concurrent.futures.Executor`, or what
has its `submit`. On Ray:

    class Ray:
        def submit(self, function, task):
            return ray.remote(function).remote(task).future()

On Slurm by submitit, a job for each shard:

    executor = submitit.AutoExecutor(folder="logs")
    executor.update_parameters(timeout_min=60, cpus_per_task=1)
    convert_to_shards("/data/photos", "/data/packed", executor=executor)
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))  # the current folder, where a json.py of the user's may stand
    os.environ["PYTHONSAFEPATH"] = "1"  # nor do the workers look there first

from datasets_impl.streams import escaped, told_while_imported

if __name__ == "__main__":
    told_while_imported("datasets_impl.convert")

from datasets_impl.errors import BadArgument, exit_on_study_error
from datasets_impl.files.paths import current_folder, user_path

if __name__ == "__main__" and (code := exit_on_study_error(current_folder)()):
    sys.exit(code)  # before PyTorch is imported

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datasets_impl import arguments
from datasets_impl.arguments import flag, json_object, one_of, positive_int, refused, scheduler
from datasets_impl.files.replacing import check_outside
from datasets_impl.formats import FORMATS
from datasets_impl.formats.addresses import (
    Address,
    check_apart,
    is_address,
    local_part,
)
from datasets_impl.formats.pictures_elsewhere import plan_address
from datasets_impl.formats.places import Folder, Place
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.shards import SHARD, Converted
from datasets_impl.formats.stored import Kind
from datasets_impl.formats.unfinished import WHAT
from datasets_impl.formats.where import Conversion
from datasets_impl.formats.workers import UNGUARDED, reads_the_program
from datasets_impl.labelled import FORMS, LabelledFolder, as_files
from datasets_impl.media.workspaces import own_traces
from datasets_impl.system.cores import cores
from datasets_impl.system.termination import stopping_on_termination


def convert_to_shards(
    source: Any,
    target: str | Path,
    format: str = "pack",
    kind: Kind | None = None,
    *,
    labelled: bool = False,
    shard_images: int | None = None,
    workers: int | None = None,
    executor: Any = None,
    on: str | None = None,
    storage_options: dict[str, Any] | None = None,
    progress: bool = False,
) -> Converted:
    """Write the pictures of `source` to `target` as a set of shards, unless it is there.

    A set of other pictures that stands there is replaced.

    Args:
        source: what `ensure_stored` takes, or an address of fsspec.
        target: a folder, or an address of fsspec.
        format: a name of `datasets_impl.formats.FORMATS`.
        kind: "jpeg" for the encoded bytes, "pixels" for decoded images of one size; by default the
            first that the format stores.
        labelled: the folders of `source` are classes, whose numbers are the targets.
        shard_images: images of each shard but the last; by default as in the set that stands
            there, finished or not, or 1,024 if it is of other pictures or there is none.
        workers: processes of this machine; as many as there are cores by default.
        executor: where shards are written instead, anything with `submit` of an `Executor`.
        on: the address of a Dask scheduler instead.
        storage_options: arguments of fsspec's file systems, for `source` and `target` alike.
        progress: show a bar on the terminal.

    Raises:
        BadArgument: an argument that cannot be meant.
        MissingPackage: the format's library, Dask, or a file system of fsspec is not installed.
        StudyError: a picture cannot be converted, the target holds something else or cannot be
            written, or the workers are gone. What was written is kept for the next try.
    """
    if reads_the_program():
        sys.exit(f"The program is read again by a process that it has started; {UNGUARDED}.")
    row = FORMATS[one_of("format", format, FORMATS)]
    row.load("Format")  # is it installed?
    kind = row.kinds[0] if kind is None else kind
    if kind not in row.kinds:
        raise refused("kind", kind, f"{' or '.join(row.kinds)}, which {format!r} stores")
    size = None if shard_images is None else positive_int("shard_images", shard_images)
    count = cores() if workers is None else positive_int("workers", workers)
    _check_where(workers, executor, on)
    flag("progress", progress)
    options = arguments.storage_options(storage_options)
    target = local_part(target)
    plan, sources = _plan(source, target, kind, flag("labelled", labelled), options)
    place: Place
    if is_address(target):
        if not str(target).partition("://")[2].strip("/ "):
            raise refused("target", target, "a place in it, such as s3://bucket/packed")
        place = Address(str(target).rstrip("/"), options)
    else:
        place = Folder(user_path(target), sources)
    with _bar(str(place), progress) as told:
        done = Conversion(plan, format, place, size, told)
        if executor is not None:
            return done.by_executor(executor)
        return done.locally(count) if on is None else done.by_dask(on)


def _check_where(workers: Any, executor: Any, on: Any) -> None:
    """
    Raises:
        BadArgument: of the three ways to run several are given, or one that is none.
    """
    given = {"workers": workers, "executor": executor, "on": on}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise BadArgument(f"{' and '.join(named)} each say where shards are written; give one.")
    ready = not isinstance(executor, type) and callable(getattr(executor, "submit", None))
    if executor is not None and not ready:
        raise refused("executor", executor, "an object with `submit`, as of `concurrent.futures`")
    if on is not None:
        scheduler("on", on)


def _plan(
    source: Any, target: Any, kind: Kind, labelled: bool, options: dict[str, Any]
) -> tuple[Plan, tuple[Path, ...]]:
    source = local_part(source)
    if is_address(source):
        if is_address(target):
            check_apart(target, source, options)
        return plan_address(source, kind, options, labelled), ()
    files = LabelledFolder(source) if labelled else as_files(source)
    if files is None:
        raise refused("source", source, FORMS)
    if not is_address(target):
        check_outside(user_path(target), files.folders(), WHAT)
    folders = [files.root] if files.root else sorted({Path(each).parent for each in files.paths})
    return Plan.of(files, kind), tuple(folders)


@contextmanager
def _bar(name: str, shown: bool) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("shards"),
        TimeRemainingColumn(),
    )
    console = Console(emoji=False, stderr=True)
    shown = shown and console.is_terminal  # elsewhere an empty line would be left of it
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task(f"Writing {escape(escaped(name))}", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@exit_on_study_error
def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    given = json_object("--storage-options", options.storage_options, '{"anon": true}')
    with stopping_on_termination():
        done = convert_to_shards(
            options.source,
            options.target,
            options.format,
            options.kind,
            labelled=options.labelled,
            shard_images=options.shard_images,
            workers=options.workers,
            on=options.on,
            storage_options=given,
            progress=True,
        )
    target = escaped(options.target)
    if done.written:
        print(f"{target}: wrote {done.written:,} of {done.shards:,} shards")
        if done.replaced:
            print("They replaced a set of other pictures, or of these before they changed.")
    else:
        print(f"{target} is there and current; nothing was written")
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m datasets_impl.convert",
        description="Convert a folder of pictures into a set of shards.",
    )
    add = parser.add_argument
    add("source", metavar="SRC", help="a folder of JPEG files, or an address such as s3://…")
    add("target", metavar="DST", help="a folder, or an address; a set that is there is replaced")
    add("--format", default="pack", metavar="NAME", help=f"one of {', '.join(FORMATS)}")
    add("--kind", metavar="KIND", help="jpeg (encoded bytes) or pixels (decoded, of one size)")
    add("--labelled", action="store_true", help="the folders of SRC are classes")
    size = f"default: as in the set that stands there, else {SHARD:,}"
    add("--shard-images", type=_count, metavar="N", help=size)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_count, metavar="N", help="processes; default: cores")
    where.add_argument("--on", metavar="ADDRESS", help="a Dask scheduler, tcp://host:8786")
    add("--storage-options", default="{}", metavar="JSON", help="arguments of fsspec's systems")
    return parser.parse_args(arguments)


def _count(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


if __name__ == "__main__":
    with own_traces():
        code = main()
    sys.exit(code)
