"""Sets of many shards: the same bytes whoever makes them, whatever dies; read as one set."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from conftest import COUNT, PX
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from datasets_impl import convert as module
from datasets_impl.convert import convert_to_shards, main
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import ensure_stored, open_stored
from datasets_impl.formats.places import Folder
from datasets_impl.formats.shards import write
from datasets_impl.formats.stored import HEADER
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.media.object_store import ObjectStore, object_store
from tests.converting import CONTEXT
from tests.loading import decoded, loaded
from tests.test_formats import contents, every_case, expected, snapshot

SIZE = 5  # images of a shard: three shards of COUNT images, the last one smaller


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[int, Executor]]:
    """Of 1, 2 and 4 processes, forked from one that has imported everything."""
    made = {count: ProcessPoolExecutor(count, CONTEXT) for count in (1, 2, 4)}
    yield made  # type: ignore[misc]
    for pool in made.values():
        pool.shutdown()


class Here(Executor):
    """At once and in this process; remembers which shards it wrote."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.wrote: list[int] = []
        self.fail_at = fail_at

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[0].number == self.fail_at:
            future.set_exception(StudyError("The plug was pulled."))
        else:
            self.wrote.append(args[0].number)
            future.set_result(function(*args, **kwargs))
        return future


def here(folder: Any, target: Any, name: str = "pack", kind: Any = None, **more: Any) -> Here:
    executor = Here(more.pop("fail_at", None))
    convert_to_shards(folder, target, name, kind, shard_images=SIZE, executor=executor, **more)
    return executor


@every_case
def test_the_same_bytes_for_one_worker_or_many(
    name: str, kind: Any, folder: Path, tmp_path: Path, pools: dict[int, Executor]
) -> None:
    for count, pool in pools.items():
        done = convert_to_shards(
            folder, tmp_path / f"set{count}", name, kind, shard_images=SIZE, executor=pool
        )
        assert done == (3, 3)
    here(folder, tmp_path / "set", name, kind)
    whole = snapshot(tmp_path / "set")
    assert {count: snapshot(tmp_path / f"set{count}") for count in pools} == dict.fromkeys(
        pools, whole
    )
    images = open_stored(tmp_path / "set")
    assert contents(images) == expected(folder, kind, name)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".partial"]
    plain = ensure_stored(folder, kind, name)
    for column in ("length", "digest"):
        assert np.array_equal(images.index[column], plain.index[column])
    assert plain.header.fingerprint == images.header.fingerprint, "one is as good as the other"


def test_a_set_of_shards_is_found_where_a_set_would_be_made(folder: Path) -> None:
    target = folder.with_name("images.pixels.pack")
    here(folder, target, "pack", "pixels")
    before = snapshot(target)
    assert ensure_stored(folder, "pixels", "pack").header.shard == SIZE
    assert snapshot(target) == before


@every_case
def test_what_was_written_is_not_written_again(
    name: str, kind: Any, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="plug"):
        here(folder, tmp_path / "set", name, kind, fail_at=1)
    assert not (tmp_path / "set").exists()
    whole = here(folder, tmp_path / "other", name, kind)
    assert whole.wrote == [0, 1, 2]
    assert here(folder, tmp_path / "set", name, kind).wrote == [1]
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "other")
    assert here(folder, tmp_path / "set", name, kind).wrote == [], "it is there and current"


@pytest.mark.parametrize("harm", ["cut short", "header", "missing", "another set", "scratch"])
def test_what_is_left_of_an_unfinished_set_is_looked_at(
    harm: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="plug"):
        here(folder, tmp_path / "set", fail_at=2)
    partial = tmp_path / ".set.partial"
    shard = partial / "data" / "shard-000001"
    again = [1, 2]
    if harm == "cut short":
        (shard / "data").write_bytes((shard / "data").read_bytes()[:-1])
    elif harm == "header":
        (shard / HEADER).write_text("{")
    elif harm == "missing":
        shutil.rmtree(shard)
    elif harm == "another set":
        shutil.copyfile(jpeg_files(folder)[0], folder / "zzz.jpg")
        again = [0, 1, 2]
    else:
        (partial / ".dataset-study-shard-x.tmp").mkdir()
        again = [2]
    assert here(folder, tmp_path / "set").wrote == again
    assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "pack")
    assert sorted(path.name for path in tmp_path.glob("*set*")) == ["set"]


@pytest.mark.parametrize("seen", [False, True])
def test_a_shard_that_two_workers_make_is_whole(
    seen: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker that was given up for dead comes back, before or after it has looked."""
    if not seen:
        monkeypatch.setattr(Folder, "has", lambda *_: False)

    class Twice(Here):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            super().submit(function, *args, **kwargs)
            return super().submit(function, *args, **kwargs)

    convert_to_shards(folder, tmp_path / "a", shard_images=SIZE, executor=Twice())
    here(folder, tmp_path / "b")
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_a_worker_that_comes_back_too_late_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """It has looked already, and found the shard not there."""
    late = Here()
    tasks: list[Any] = []

    class Remembering(Here):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            tasks.append(args[0])
            return super().submit(function, *args, **kwargs)

    convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, executor=Remembering())
    before = snapshot(tmp_path)
    with pytest.raises(StudyError, match=r"Could not write|cannot be"):
        late.submit(write, tasks[1]).result()
    assert snapshot(tmp_path) == before
    assert {path.name for path in tmp_path.glob("*set*")} == {"set"}


def test_the_set_is_made_again_for_other_shards_pictures_or_targets(
    folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "set"
    here(folder, target)
    convert_to_shards(folder, target, shard_images=2 * SIZE, executor=Here())
    assert open_stored(target).header.shard == 2 * SIZE
    Path(jpeg_files(folder)[0]).unlink()
    convert_to_shards(folder, target, shard_images=2 * SIZE, executor=Here())
    assert contents(open_stored(target)) == expected(folder, "jpeg", "pack")
    assert open_stored(target).targets is None
    files = [(path, number % 3) for number, path in enumerate(jpeg_files(folder))]
    convert_to_shards(files, target, shard_images=2 * SIZE, executor=Here())
    targets = open_stored(target).targets
    assert targets is not None and targets.tolist() == [target for _, target in files]


def test_folders_are_classes_if_asked_for(classes: Path, tmp_path: Path) -> None:
    here(classes, tmp_path / "set", labelled=True)
    images, folder = open_stored(tmp_path / "set"), LabelledFolder(classes)
    assert images.targets is not None
    assert (images.classes, images.targets.tolist()) == (folder.classes, folder.targets)


@pytest.fixture
def classes(folder: Path) -> Path:
    for number, path in enumerate(jpeg_files(folder)):
        place = folder.with_name("classes") / "cba"[number % 3] / Path(path).name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return folder.with_name("classes")


# --- read as one set -------------------------------------------------------------------------


@every_case
def test_pickled_and_in_workers(name: str, kind: Any, folder: Path, tmp_path: Path) -> None:
    here(folder, tmp_path / "set", name, kind)
    images = open_stored(tmp_path / "set")
    good = expected(folder, kind, name)
    assert contents(images) == good
    encoded = pickle.dumps(images)
    assert images.index.tobytes() not in encoded
    assert contents(pickle.loads(encoded)) == good
    with CONTEXT.Pool(1) as pool:
        assert pool.apply(contents, (images,)) == good
    with pytest.raises(IndexError):
        images.read(COUNT)


@pytest.mark.parametrize("preload", [False, True])
def test_pixels_are_gathered_over_shards(preload: bool, folder: Path, tmp_path: Path) -> None:
    here(folder, tmp_path / "set", "pack", "pixels")
    order = [11, 0, 4, 5, 9, 10, 5]
    good = [np.array(Image.open(path).convert("RGB")) for path in jpeg_files(folder)]
    loader = loaded(StoredPixels(tmp_path / "set", preload=preload), 3, sampler=order)
    batches = [batch.permute(0, 2, 3, 1).numpy().copy() for batch in loader]
    assert np.array_equal(np.concatenate(batches), np.stack([good[index] for index in order]))
    dataset = StoredPixels(tmp_path / "set", preload=preload)
    into = np.empty((len(order), PX, PX, 3), np.uint8).transpose(0, 3, 1, 2)
    for found in (dataset, pickle.loads(pickle.dumps(dataset))):
        found.read_many_into(order, into)
        assert np.array_equal(into.transpose(0, 2, 3, 1), np.stack([good[i] for i in order]))


def test_jpegs_are_decoded_over_shards(folder: Path, tmp_path: Path) -> None:
    here(folder, tmp_path / "set", "pack", "jpeg")
    plain = ensure_stored(folder, "jpeg", "pack")
    over = [decoded(images, 4, seed=3) for images in (open_stored(tmp_path / "set"), plain)]
    for one, other in zip(*over, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_damage_in_a_shard_is_named(folder: Path, tmp_path: Path) -> None:
    here(folder, tmp_path / "set", "pack", "pixels")
    data = tmp_path / "set" / "shard-000001" / "data"
    content = bytearray(data.read_bytes())
    content[5] ^= 1
    data.write_bytes(content)
    with pytest.raises(StudyError, match=r"set is damaged at image 5"):
        contents(open_stored(tmp_path / "set"))
    with pytest.raises(StudyError, match=r"set is damaged at image 5"):
        list(loaded(StoredPixels(tmp_path / "set"), 4))
    data.write_bytes(content[:-1])
    with pytest.raises(StudyError, match=r"shard-000001/data has .* convert the images again"):
        open_stored(tmp_path / "set")


def test_a_shard_that_is_opened_late_is_of_the_same_set(folder: Path, tmp_path: Path) -> None:
    here(folder, tmp_path / "set")
    images = open_stored(tmp_path / "set")
    images.read(0)
    Path(jpeg_files(folder)[0]).unlink()
    here(folder, tmp_path / "set")
    with pytest.raises(StudyError, match="converted anew"):
        images.read(COUNT - 1)


# --- workers that die ------------------------------------------------------------------------


def dying(marks: Path, always: bool, function: Any, task: Any) -> int:
    """Kills its own process before a task: before each, or once before the second."""
    mark = marks / "killed"
    if always or (task.number == 1 and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    number: int = function(task)
    return number


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, bool], None]:
    """Local workers, some of which are killed."""
    real = module._pool

    def use(marks: Path, always: bool) -> None:
        @contextmanager
        def pool(workers: int) -> Iterator[Any]:
            with real(workers) as found:

                class Submitting:
                    def submit(self, function: Any, task: Any) -> Any:
                        return found.submit(dying, marks, always, function, task)

                yield Submitting()

        monkeypatch.setattr(module, "_pool", pool)

    return use


@pytest.mark.slow
def test_a_killed_worker_is_replaced(
    folder: Path, tmp_path: Path, deadly: Callable[[Path, bool], None]
) -> None:
    here(folder, tmp_path / "good")
    deadly(tmp_path, False)
    assert convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, workers=2).shards == 3
    assert (tmp_path / "killed").exists(), "nobody was killed"
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "good")


@pytest.mark.slow
def test_workers_that_die_each_time_end_it_in_a_sentence(
    folder: Path, tmp_path: Path, deadly: Callable[[Path, bool], None]
) -> None:
    deadly(tmp_path, True)
    with pytest.raises(StudyError, match="run it again with fewer workers"):
        convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, workers=1)


# --- object stores ---------------------------------------------------------------------------


@pytest.fixture
def store(folder: Path) -> Iterator[ObjectStore]:
    """The pictures in one bucket, and another for what is made of them."""
    import fsspec

    with object_store(folder) as running:
        fsspec.filesystem("s3", **running.address.options).call_s3("create_bucket", Bucket="made")
        yield running


def downloaded(store: ObjectStore, url: str) -> dict[str, bytes]:
    import fsspec

    system = fsspec.filesystem("s3", **store.address.options)
    system.invalidate_cache()
    root = url.partition("://")[2]
    return {path[len(root) + 1 :]: system.cat_file(path) for path in system.find(root)}


@pytest.mark.slow
@pytest.mark.usefixtures("object_libraries")
@pytest.mark.parametrize(("name", "kind"), [("pack", "jpeg"), ("tar", "pixels")])
def test_from_and_to_an_object_store(
    name: str, kind: Any, folder: Path, tmp_path: Path, store: ObjectStore
) -> None:
    more = {"storage_options": store.address.options}
    here(store.address.url, tmp_path / "set", name, kind, **more)  # type: ignore[arg-type]
    assert contents(open_stored(tmp_path / "set")) == expected(folder, kind, name)
    target = "s3://made/packed/set"
    source: Any = store.address.url
    with pytest.raises(StudyError, match="plug"):
        here(source, target, name, kind, fail_at=1, **more)
    assert here(source, target, name, kind, **more).wrote == [1]
    assert downloaded(store, target) == snapshot(tmp_path / "set")
    assert here(source, target, name, kind, **more).wrote == []
    local = here(folder, target, name, kind, **more)  # the same pictures from elsewhere
    assert local.wrote == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.usefixtures("object_libraries")
def test_objects_of_somebody_else_are_left(folder: Path, store: ObjectStore) -> None:
    more = {"storage_options": store.address.options}
    before = downloaded(store, "s3://study")
    for _ in range(2):
        with pytest.raises(StudyError, match="holds something else than a stored set"):
            here(folder, "s3://study", **more)
        assert downloaded(store, "s3://study") == before
    with pytest.raises(StudyError, match="s3://nobody/out could not be read or written"):
        here(folder, "s3://nobody/out", **more)
    with pytest.raises(StudyError, match="is in no folder of a class"):
        here("s3://study", "s3://made/out", labelled=True, **more)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="has no JPEG file"):
        here("s3://study/nothing", "s3://made/out", **more)  # type: ignore[arg-type]


# --- the command -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(folder), f"file://{tmp_path}/set", "--format", "tar", "--shard-images", "5"]
    assert main([*command, "--workers", "2"]) == 0
    assert "wrote 3 of 3 shards" in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "tar")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--format", "parquet"], "format is 'parquet'; give one of pack"),
        (["--kind", "png"], "kind is 'png'; give jpeg or pixels"),
        (["--format", "zarr", "--kind", "jpeg"], "give pixels, which 'zarr' stores"),
        (["--shard-images", "0"], "give a whole number of at least 1"),
        (["--workers", "many"], "workers is 'many'"),
        (["--workers=--1"], "workers is '--1'"),
        (["--shard-images", "9" * 5000], "shard_images is "),
        (["--storage-options", "[1]"], "give a JSON object"),
        (["--on", "tcp://127.0.0.1:1"], "No Dask scheduler answers"),
    ],
)
def test_what_cannot_be_meant(
    more: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), str(tmp_path / "set"), *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "set").exists()


def test_the_target_is_not_the_source(folder: Path) -> None:
    with pytest.raises(StudyError, match="only read"):
        here(folder, folder)
    with pytest.raises(BadArgument, match="source is 3; give a folder"):
        here(3, folder)  # type: ignore[arg-type]


PLACES = ["{0}/packed", "{0}/0/packed", "file://{0}/packed", "{0}/../images/packed",
          "{0}/../link/packed", "{0}/../elsewhere/packed"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_target_among_the_pictures_is_refused(
    place: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next conversion would find it there; so also through links, one below the source."""
    elsewhere = folder.with_name("elsewhere")
    (elsewhere / "deep").mkdir(parents=True)
    shutil.copy(next(folder.glob("*.jpg")), elsewhere / "deep" / "more.jpg")
    (folder / "more").symlink_to(elsewhere)
    folder.with_name("link").symlink_to(folder)
    before = sorted(folder.parent.rglob("*"))
    target = place.format(folder)
    assert main([str(folder), target]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "choose a place outside" in said
    with pytest.raises(StudyError, match="choose a place outside"):
        ensure_stored(folder, "jpeg", "pack", target=target.removeprefix("file://"))
    assert sorted(folder.parent.rglob("*")) == before
    listed = sorted(folder.glob("*.jpg"))  # the list will be the same the next time
    assert len(ensure_stored(listed, "jpeg", "pack", target=folder / "packed")) == len(listed)


@pytest.mark.parametrize(
    ("target", "among"),
    [("memory://photos/packed", True), ("memory:///photos/a/../packed", True),
     ("memory://photos-packed", False), ("memory://photos/../packed", False)],
)  # fmt: skip
def test_an_address_among_the_pictures_is_refused(target: str, among: bool, folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(folder), "/photos", recursive=True)
        before = memory.find("/")
        if among:
            with pytest.raises(StudyError, match="choose a place outside"):
                here("memory://photos", target)
            assert memory.find("/") == before
        else:
            assert here("memory://photos", target).wrote
    finally:
        memory.rm("/", recursive=True)


@pytest.mark.parametrize("harm", ["no picture", "cut short", "empty"])
@pytest.mark.parametrize("where", ["a folder", "an address"])
def test_a_broken_picture_is_named_before_it_is_in_a_set(
    where: str, harm: str, folder: Path, tmp_path: Path
) -> None:
    broken = sorted(folder.glob("*.jpg"))[3]
    whole = broken.read_bytes()
    bad = {"no picture": b"no picture", "cut short": whole[: len(whole) // 2], "empty": b""}[harm]
    broken.write_bytes(bad)
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(folder), "/photos", recursive=True)
        source = folder if where == "a folder" else "memory://photos"
        with pytest.raises(StudyError, match=f"{broken.name} could not be read"):
            here(source, tmp_path / "set")
        assert not (tmp_path / "set").exists()
        with pytest.raises(StudyError, match=f"{broken.name} could not be read"):
            ensure_stored(folder, "jpeg", "pack")
        assert not folder.with_name("images.jpeg.pack").exists()
    finally:
        memory.rm("/", recursive=True)


@pytest.mark.parametrize("behind", [b"\0" * 9, b"what a camera adds"])
def test_what_stands_behind_a_whole_picture_does_no_harm(behind: bytes, folder: Path) -> None:
    picture = sorted(folder.glob("*.jpg"))[3]
    picture.write_bytes(picture.read_bytes() + behind)
    assert bytes(ensure_stored(folder, "jpeg", "pack").read(3)) == picture.read_bytes()


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("address", ["nonsense://bucket/x", "s3://", "memory:///"])
def test_an_address_that_names_no_place(
    address: str, end: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [address, str(tmp_path / "set")] if end == "source" else [str(folder), address]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and address in said


class Refusing(MemoryFileSystem):  # type: ignore[misc]
    """As a store does that is not there, or that lets one read and not write."""

    protocol = "refusing"

    def find(self, path: str, **options: Any) -> Any:
        if "unreachable" in path:
            raise RuntimeError("cannot connect")
        return {}

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        raise FileNotFoundError("the bucket does not exist")


@pytest.mark.parametrize(
    ("name", "why"), [("unreachable", "cannot connect"), ("bucket", "does not exist")]
)
def test_a_place_that_fails_ends_in_a_sentence(
    name: str, why: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    assert main([str(folder), f"refusing://{name}/set"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: refusing://{name}/set ") and said.count("\n") == 1
    assert why in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (BlockingIOError(11, "Resource temporarily unavailable"), "temporarily unavailable"),
        (EOFError("unexpected EOF"), "no process or thread"),
        (RuntimeError("can't start new thread"), "no process or thread"),
    ],
)
def test_workers_that_cannot_be_started_end_it_in_a_sentence(
    error: Exception,
    why: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none_left(*given: object) -> Future[Any]:
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, "submit", none_left)
    assert main([str(folder), str(tmp_path / "set")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be started" in said and why in said and "Traceback" not in said
