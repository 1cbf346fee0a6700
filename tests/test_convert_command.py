"""`python -m datasets_impl.convert`: what it makes, and what it refuses in a sentence."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from datasets_impl import convert
from datasets_impl.convert import main
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.formats import ensure_stored, open_stored
from tests.commands import sentence
from tests.folders import snapshot
from tests.stored_sets import contents, expected, here


@pytest.mark.slow
def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(folder), f"file://{tmp_path}/set", "--format", "tar", "--shard-images", "5"]
    assert main([*command, "--workers", "2"]) == 0
    assert "wrote 3 of 3 shards" in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert contents(open_stored(tmp_path / "set")) == expected(folder, "jpeg", "tar")
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    (min(other.glob("*.jpg"))).unlink()
    assert main([str(other), *command[1:]]) == 0
    assert "They replaced a set of other pictures" in capsys.readouterr().out


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


PLACES = ["{0}/packed", "{0}/0/packed", "file://{0}/packed", "file://localhost{0}/packed",
          "{0}/../images/packed", "{0}/../link/packed", "{0}/../elsewhere/packed"]  # fmt: skip


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
    sentence(main([str(folder), target]), capsys, "choose a place outside")
    with pytest.raises(StudyError, match="choose a place outside"):
        ensure_stored(
            folder, "jpeg", "pack", target=target.removeprefix("file://").removeprefix("localhost")
        )
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


@pytest.mark.slow
def test_names_that_a_terminal_would_obey_are_shown(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "red\x1b[31m\nset"
    for said in ("wrote 1 of 1 shards", "nothing was written"):
        assert main([str(folder), str(target), "--workers=1"]) == 0
        out = capsys.readouterr().out
        assert said in out and r"red\x1b[31m\nset" in out and out.count("\n") == 1
        assert len(open_stored(target)) == len(list(folder.glob("*.jpg")))


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("address", ["nonsense://bucket/x", "s3://", "memory:///"])
def test_an_address_that_names_no_place(
    address: str, end: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [address, str(tmp_path / "set")] if end == "source" else [str(folder), address]
    sentence(main(given), capsys, address)


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
    said = sentence(main([str(folder), f"refusing://{name}/set"]), capsys, why)
    assert said.startswith(f"error: refusing://{name}/set ")


class Cluster:
    """Stands for Ray's module and for submitit's: runs a task at once, and gives its future."""

    def __init__(self) -> None:
        self.count = 0
        self.parameters: dict[str, Any] = {}

    def submit(self, function: Any, *given: Any) -> Future[Any]:
        self.count += 1
        done: Future[Any] = Future()
        done.set_result(function(*given))
        return done

    def remote(self, function: Any) -> Any:  # Ray's: `ray.remote(function).remote(task).future()`
        def call(*given: Any) -> Any:
            return SimpleNamespace(future=partial(self.submit, function, *given))

        return SimpleNamespace(remote=call)

    def AutoExecutor(self, folder: str) -> Cluster:
        return self

    def update_parameters(self, **parameters: Any) -> None:
        self.parameters = parameters


def test_the_recipes_run_as_they_stand(folder: Path, tmp_path: Path) -> None:
    """Those of the docstring, in three lines each."""
    recipes = re.findall(r":\n\n((?: {4}[^\n]*\n)+)", convert.__doc__ or "")
    ray, slurm = (dedent(one) for one in recipes if "-m datasets_impl" not in one)
    assert len(ray.splitlines()) == len(slurm.splitlines()) == 3
    cluster, photos, packed = Cluster(), str(folder), str(tmp_path / "packed")
    space: dict[str, Any] = {"ray": cluster, "submitit": cluster, "photos": photos}
    space["convert_to_shards"] = partial(convert.convert_to_shards, shard_images=4)
    exec(ray, space)
    convert.convert_to_shards(photos, tmp_path / "by_ray", shard_images=4, executor=space["Ray"]())
    assert cluster.count == 3
    for place, here_ in (("/data/photos", photos), ("/data/packed", packed)):
        slurm = slurm.replace(place, here_)
    exec(slurm, space)
    assert cluster.count == 6 and cluster.parameters.keys() == {"timeout_min", "cpus_per_task"}
    assert snapshot(tmp_path / "packed") == snapshot(tmp_path / "by_ray")
