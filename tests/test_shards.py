"""Sets of many shards: the same bytes whoever makes them; read as one set."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from conftest import COUNT, PX
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from datasets_impl.convert import convert_to_shards, main
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import conversion, ensure_stored, open_stored, places
from datasets_impl.formats.places import Folder
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.shards import Task, write
from datasets_impl.formats.stored import HEADER
from datasets_impl.formats.unfinished import key_of
from datasets_impl.labelled import LabelledFolder, as_files
from datasets_impl.loaders.stored_pixels import StoredPixels
from tests.converting import CONTEXT
from tests.folders import snapshot
from tests.loading import decoded, loaded
from tests.stored_sets import SIZE, Here, contents, every_case, expected, here


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[int, Executor]]:
    """Of 1, 2 and 4 processes, forked from one that has imported everything."""
    made = {count: ProcessPoolExecutor(count, CONTEXT) for count in (1, 2, 4)}
    yield made  # type: ignore[misc]
    for pool in made.values():
        pool.shutdown()


@every_case
def test_the_same_bytes_for_one_worker_or_many(
    name: str, kind: Any, folder: Path, tmp_path: Path, pools: dict[int, Executor]
) -> None:
    for count, pool in pools.items():
        done = convert_to_shards(
            folder, tmp_path / f"set{count}", name, kind, shard_images=SIZE, executor=pool
        )
        assert done == (3, 3, False)
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


def test_a_shard_of_a_conversion_that_was_given_up_is_put_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one throws its files away while it is about to say which there are."""
    images = as_files(folder)
    assert images is not None
    plan, place = Plan.of(images, "jpeg"), Folder(tmp_path / "set")
    place.begin(key_of(plan, "pack", SIZE))
    real = conversion.saved

    def saved(index: Any) -> bytes:
        def first_file(left: Path, **more: Any) -> None:
            next(Path(left).rglob("data")).unlink()

        with monkeypatch.context() as patch:
            patch.setattr(places.shutil, "rmtree", first_file)
            place.begin(key_of(plan, "pack", SIZE))
        return real(index)

    monkeypatch.setattr(conversion, "saved", saved)
    with pytest.raises(StudyError, match=r"Could not write|cannot be"):
        write(Task(plan.part(range(SIZE)), "pack", place, 0))
    assert not place.has(0)
    monkeypatch.undo()
    convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, executor=Here())
    assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "pack")


@pytest.fixture
def in_memory() -> Iterator[str]:
    """An address where nobody is alone."""
    yield "memory://made/set"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def others(folder: Path) -> Path:
    """As many pictures of the same names and sizes, but other ones."""
    made = folder.with_name("others")
    made.mkdir()
    for number, path in enumerate(jpeg_files(folder)):
        data = bytearray(Path(path).read_bytes())
        data[-40] ^= 1 + number
        (made / Path(path).name).write_bytes(data)
    return made


class Meddled(Here):
    """Another conversion writes shard 1 of its own while this one runs, before or after it."""

    def __init__(self, others: Path, first: bool) -> None:
        super().__init__()
        self.others, self.first = others, first

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        task = args[0]
        if task.number != 1:
            return super().submit(function, *args, **kwargs)
        images = as_files(self.others)
        assert images is not None
        late = replace(task, plan=Plan.of(images, "jpeg").part(range(SIZE, 2 * SIZE)))
        if not self.first:
            super().submit(function, *args, **kwargs)
            task.place.drop(1)
        done = super().submit(function, late)
        return super().submit(function, *args, **kwargs) if self.first else done


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("where", ["folder", "address"])
def test_a_shard_of_other_pictures_never_gets_into_a_set(
    where: str, first: bool, folder: Path, others: Path, tmp_path: Path, in_memory: str
) -> None:
    """As of a worker that was given up for dead, and whose conversion was begun anew since."""
    target: Any = tmp_path / "set" if where == "folder" else in_memory
    with pytest.raises(StudyError, match="or another conversion wrote them"):
        convert_to_shards(folder, target, shard_images=SIZE, executor=Meddled(others, first))
    assert here(folder, target).wrote == [1]
    if where == "folder":
        assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "pack")


@pytest.mark.parametrize("harm", ["nothing", "another set", "damaged"])
@pytest.mark.parametrize(
    "name", ["shard-000001/thesis.txt", "shard-000001/data.csv", "thesis/part.txt"]
)
@pytest.mark.parametrize("where", ["folder", "address"])
def test_what_somebody_puts_into_an_unfinished_set_is_left(
    where: str, name: str, harm: str, folder: Path, tmp_path: Path, in_memory: str
) -> None:
    target: Any = tmp_path / "set" if where == "folder" else in_memory
    with pytest.raises(StudyError, match="plug"):
        here(folder, target, fail_at=2)
    memory = fsspec.filesystem("memory")
    root: Any = tmp_path / ".set.partial" / "data" if where == "folder" else "/made/set"
    write_to = (lambda at, data: (at.parent.mkdir(exist_ok=True), at.write_bytes(data))
                ) if where == "folder" else memory.pipe_file  # fmt: skip
    place = root / name if where == "folder" else f"{root}/{name}"
    write_to(place, b"years of work")
    if harm == "another set":
        (folder / "00000.jpg").unlink()
    elif harm == "damaged":
        header = "shard-000001/header.json"
        write_to(root / header if where == "folder" else f"{root}/{header}", b"{")
    with pytest.raises(StudyError, match="holds something else than a stored set"):
        here(folder, target)
    assert (place.read_bytes() if where == "folder" else memory.cat(place)) == b"years of work"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("zip://photos", "cannot be used|cannot be reached"),
        ("nonsense://photos", "cannot be used"),
    ],
)
def test_a_file_system_that_does_not_answer_is_one_sentence(
    url: str, words: str, folder: Path, tmp_path: Path
) -> None:
    for source, target in ((url, tmp_path / "set"), (folder, f"{url}/set")):
        with pytest.raises(StudyError, match=words):
            here(source, target)


def test_a_store_that_does_not_tell_sizes_is_one_sentence(
    folder: Path, tmp_path: Path, in_memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers of web pages."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/photos/a.jpg", (folder / "00000.jpg").read_bytes())
    found = {"/photos/a.jpg": {"name": "/photos/a.jpg", "size": None, "type": "file"}}
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *given, **more: found)
    with pytest.raises(StudyError, match=r"does not say how large /photos/a\.jpg is"):
        here("memory://photos", tmp_path / "set")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 2, "executor": Here()}, "workers and executor each say where"),
        ({"on": "tcp://a:1", "executor": Here()}, "executor and on each say where"),
        ({"executor": 4}, "executor is 4; give an object with `submit`"),
        ({"executor": Here}, "executor is .*Here.*; give an object with `submit`"),
        ({"on": ""}, "on is ''; give the address of a Dask scheduler"),
        ({"on": 8786}, "on is 8786; give the address"),
        ({"on": "x y"}, "on is 'x y'; give the address"),
        ({"on": "tcp://host"}, "on is 'tcp://host'; give the address"),
        ({"storage_options": ["anon"]}, "storage_options is .*; give a dictionary"),
    ],
)
def test_one_way_to_run_is_to_be_given(
    given: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=words):
        convert_to_shards(folder, tmp_path / "set", **given)
    assert not list(tmp_path.glob("*set*"))


def test_an_executor_that_is_shut_down_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    shut = ThreadPoolExecutor(1)
    shut.shutdown()
    with pytest.raises(StudyError, match=r"The executor cannot go on .*; what was written is kept"):
        convert_to_shards(folder, tmp_path / "set", executor=shut)
    here(folder, tmp_path / "set")


class WithoutCause(Exception):
    """As some libraries have it: there may be a cause, and here is none."""

    cause = None


class Failing(Here):
    """Says that it cannot go on as executors do: in the future, or as the task is submitted."""

    def __init__(self, error: Exception, at_once: bool) -> None:
        super().__init__()
        self.error, self.at_once = error, at_once

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.at_once:
            raise self.error
        future: Future[Any] = Future()
        future.set_exception(self.error)
        return future


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CancelledError(), "CancelledError"),
        (OSError("job 7 failed"), "job 7"),
        (ValueError("x"), "x"),
        (WithoutCause("node 3 is lost"), "node 3"),
    ],
)
def test_whatever_an_executor_fails_with_is_one_sentence(
    error: Exception, said: str, at_once: bool, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=rf"The executor cannot go on \({said}.*is kept"):
        convert_to_shards(folder, tmp_path / "set", executor=Failing(error, at_once))


class Elsewhere(Here):
    """As Ray has it: arrays of a task cannot be written, and an error is wrapped in one whose text
    is a traceback."""

    class Wrapped(StudyError):
        def __init__(self, cause: Exception) -> None:
            super().__init__(f"\x1b[36mray::write()\x1b[39m\n  File ...\n{cause}")
            self.cause = cause

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        buffers: list[pickle.PickleBuffer] = []
        sent = pickle.dumps(args, protocol=5, buffer_callback=buffers.append)
        fixed = [bytes(buffer.raw()) for buffer in buffers]
        try:
            return super().submit(function, *pickle.loads(sent, buffers=fixed))
        except Exception as error:
            future: Future[Any] = Future()
            future.set_exception(self.Wrapped(error))
            return future


def test_tasks_may_lie_in_memory_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, executor=Elsewhere())
    here(folder, tmp_path / "other")
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "other")


def test_the_error_of_a_task_is_told_without_what_an_executor_wraps_it_in(
    folder: Path, tmp_path: Path
) -> None:
    (damaged,) = sorted(folder.iterdir())[4:5]
    damaged.write_bytes(b"no picture")
    with pytest.raises(StudyError, match=damaged.name) as raised:
        convert_to_shards(folder, tmp_path / "set", kind="pixels", executor=Elsewhere())
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_a_worker_without_a_place_for_temporary_files_says_so(
    folder: Path, tmp_path: Path, in_memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(StudyError, match=r"can make no temporary file .*; set its TMPDIR"):
        here(folder, in_memory)


def test_the_command_with_an_empty_scheduler_starts_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), str(tmp_path / "set"), "--on", ""]) == 2
    assert capsys.readouterr().err.startswith("error: on is ''; give the address")


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


@pytest.mark.parametrize("same", [False, True])
def test_what_another_conversion_made_meanwhile_is_replaced_and_told(
    same: bool, folder: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are begun at once: the second waits, and finds the set of the first where none stood."""
    waited = places.locked

    def after_the_first(target: Path) -> Any:
        monkeypatch.setattr(places, "locked", waited)
        here(folder if same else others, tmp_path / "set")
        return waited(target)

    monkeypatch.setattr(places, "locked", after_the_first)
    done = convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, executor=Here())
    assert done == ((0, 3, False) if same else (3, 3, True))
    assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "pack")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".set")]


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
    data.unlink()  # threads of the loader may still read what it was
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
