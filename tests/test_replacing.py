"""One rule for replacing, over trees of folders: what others wrote is there afterwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets_impl.contest.peers.made import made_once
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import MARK
from datasets_impl.files.replacing import check_replaceable, put_in_place, remove_ours
from datasets_impl.files.whole import holder_of, locked, whole_folder
from datasets_impl.formats import ensure_stored
from datasets_impl.variants.raw_files import RawFileDataset

HEADER = "header"


class Killed(BaseException):
    """Ends a process as SIGKILL does."""


def ours(path: Path) -> bool:
    """A file that says so, or a folder whose header lists all that is in it."""
    if path.is_file():
        return path.read_bytes().startswith(b"ours")
    try:
        listed = json.loads((path / HEADER).read_text())
    except (OSError, ValueError):
        return False
    return {each.name for each in path.iterdir()} <= {HEADER, *listed}


# A tree: for each place what is there, in this order, so that folders come before what they hold.
PLACES = ["a", "b", "a/c", "b/d", "a/c/e", "b/d/f"]
THINGS = ["nothing", "folder", "file", "empty file", "ours", "our file", "ours and more", "link"]
trees = st.fixed_dictionaries({place: st.sampled_from(THINGS) for place in PLACES})


def planted(root: Path, tree: dict[str, str], links: dict[str, str]) -> None:
    for place, thing in tree.items():
        path = root / place
        if not path.parent.is_dir() or path.parent.is_symlink() or os.path.lexists(path):
            continue
        if thing == "folder":
            path.mkdir()
        elif thing in ("file", "empty file"):
            path.write_bytes(b"years of work" if thing == "file" else b"")
        elif thing == "our file":
            path.write_bytes(b"ours")
        elif thing == "link":
            path.symlink_to(root / links[place])
        elif thing.startswith("ours"):
            path.mkdir()
            (path / HEADER).write_text('["data"]')
            (path / "data").write_bytes(b"ours")
            if thing == "ours and more":
                (path / "thesis.txt").write_bytes(b"years of work")


def others(root: Path) -> dict[str, bytes | str]:
    """Every file that holds something and is not ours, and every link, by where it stands."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file() and path.stat().st_size:
            content = path.read_bytes()
            if path.name != HEADER and not content.startswith(b"ours"):
                found[str(path)] = content
    return found


def below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def put_file(target: Path, sources: list[Path]) -> None:
    new = target.with_name("new")
    new.write_bytes(b"ours, new")
    put_in_place(new, target, ours, sources=sources)


def put_folder(target: Path, sources: list[Path]) -> None:
    new = target.with_name("new")
    new.mkdir()
    (new / HEADER).write_text("[]")
    put_in_place(new, target, ours, sources=sources)


def build(target: Path, sources: list[Path]) -> None:
    with whole_folder(target, ours, sources=sources) as new:
        assert new is not None
        (new / HEADER).write_text("[]")


def remove(target: Path, sources: list[Path]) -> None:
    remove_ours(target, ours, sources=sources)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("act", [put_file, put_folder, build, remove])
@given(
    tree=trees,
    links=st.fixed_dictionaries({place: st.sampled_from([*PLACES, "no"]) for place in PLACES}),
    target=st.sampled_from([*PLACES, "absent"]),
    sources=st.lists(st.sampled_from(PLACES), max_size=2),
)
def test_what_others_wrote_is_there_afterwards(
    tmp_path_factory: pytest.TempPathFactory,
    act: Callable[[Path, list[Path]], None],
    tree: dict[str, str],
    links: dict[str, str],
    target: str,
    sources: list[str],
) -> None:
    root = tmp_path_factory.mktemp("tree")
    try:
        planted(root, tree, links)
        read = [root / source for source in sources if (root / source).exists()]
        holds = [path.resolve() for path in read]
        contents = {path: below(path) if path.is_dir() else path.read_bytes() for path in holds}
        before = others(root)
        try:
            if (root / target).parent.is_dir():
                act(root / target, read)
        except StudyError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
        after = others(root)
        assert {path: after.get(path) for path in before} == before
        place = Path(os.path.realpath((root / target).parent), (root / target).name)
        for path in holds:  # a source stands, with all in it but what was replaced there
            found = below(path) if path.is_dir() else path.read_bytes()
            kept = contents[path]
            if isinstance(kept, set):
                kept = {name for name in kept if not (path / name).is_relative_to(place)}
                found &= kept
            assert found == kept
        assert not list(root.rglob(".*"))
    finally:
        shutil.rmtree(root)


def test_a_folder_that_was_put_aside_and_left_is_swept(tmp_path: Path) -> None:
    aside, work = tmp_path / f".set.old.abc_1234{MARK}", tmp_path / f".set.old.my__work{MARK}"
    names = ("2024", "20240101", "original", "backup_1")
    copies = [tmp_path / f".set.old.{name}" for name in names]
    planted(aside.parent, {}, {})
    for folder in (aside, *copies):
        (folder / "set").mkdir(parents=True)
        (folder / "set" / HEADER).write_text("[]")
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")
    build(tmp_path / "set", [])
    assert not aside.exists() and (work / "thesis.txt").exists()
    assert all((copy / "set" / HEADER).exists() for copy in copies), "a user's own copies of it"


@pytest.mark.parametrize("how", [build, remove])
def test_what_was_half_deleted_when_a_process_was_killed_is_swept(
    how: Callable[[Path, list[Path]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header may have gone first, and nobody could tell any more whose it was."""
    target, delete = tmp_path / "set", shutil.rmtree
    build(target, [])

    def killed(folder: Path, **options: Any) -> None:
        for header in Path(folder).rglob(HEADER):
            header.unlink()
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(Killed):
        how(target, [])
    monkeypatch.setattr(shutil, "rmtree", delete)
    how(target, [])
    assert {path.name for path in tmp_path.iterdir()} <= {"set"}


def test_a_set_that_came_with_a_container_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lower layer of an overlay can be deleted but not renamed."""
    target, rename = tmp_path / "set", Path.rename
    build(target, [])
    before = target.stat().st_ino

    def refuse(path: Path, place: Any) -> Path:
        if path == target:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, place)

    monkeypatch.setattr(Path, "rename", refuse)
    build(target, [])
    assert target.stat().st_ino != before
    assert {path.name for path in tmp_path.iterdir()} == {"set"}


LOCKED = """
import sys, time
from pathlib import Path
from datasets_impl.files.whole import locked

count = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with locked(count.with_name("set")):
        seen = int(count.read_text())
        time.sleep(0.002)
        count.write_text(str(seen + 1))
print(flush=True)
with locked(count.with_name("set")):
    print(flush=True)
    time.sleep(600 if sys.argv[3:] else 0)
"""


def test_a_lock_is_held_by_one_though_its_file_goes_each_time(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", LOCKED, str(count), "40"]) for _ in range(3)]
    assert [one.wait() for one in started] == [0, 0, 0]
    assert count.read_text() == "120"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_locks_file_goes_before_it_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one that another process has taken in between would go, and a third would hold its own."""
    there, release = list[bool](), FileLock.release

    def seen(lock: FileLock, force: bool = False) -> None:
        there.append(Path(lock.lock_file).exists())
        release(lock, force)

    monkeypatch.setattr(FileLock, "release", seen)
    with locked(tmp_path / "set"):
        pass
    assert there and not any(there)


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    def refuse() -> None:
        raise Killed

    with subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(tmp_path / "count"), "0", "held"], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert [other.stdout.readline(), other.stdout.readline()] == [b"\n", b"\n"]
        assert holder_of(tmp_path / "set") == other.pid
        with pytest.raises(Killed), locked(tmp_path / "set", refuse):
            pass
        other.kill()
    assert [path.name for path in tmp_path.iterdir()] == [".set.lock"]
    with locked(tmp_path / "set", refuse):
        assert holder_of(tmp_path / "set") == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["17", "years of work"])
def test_a_file_of_somebody_elses_under_a_locks_name_stays(content: str, tmp_path: Path) -> None:
    (tmp_path / ".set.lock").write_text(content)
    build(tmp_path / "set", [])
    assert (tmp_path / ".set.lock").read_text() == content


def test_a_place_that_cannot_be_looked_at(tmp_path: Path) -> None:
    def refuses(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "file").write_text("work")
    with pytest.raises(StudyError, match=r"cannot be looked at .*Permission denied"):
        check_replaceable(tmp_path / "file", refuses)


@pytest.mark.parametrize("name", [".git", ".git/new/result", "bare", "bare/objects/new"])
def test_nothing_is_written_among_git_s_own_files(name: str, tmp_path: Path) -> None:
    for made in (".git", "bare"):
        (tmp_path / made / "objects").mkdir(parents=True)
        (tmp_path / made / "HEAD").touch()
    with pytest.raises(StudyError, match=f"{name} is where git keeps its own files"):
        check_replaceable(tmp_path / name, ours)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_neither_file_nor_folder(kind: str, tmp_path: Path) -> None:
    place = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(place)
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    with pytest.raises(StudyError, match="holds something else"):
        check_replaceable(place, lambda path: True)


# --- every writer of ours, over a home folder of somebody ------------------------------------


def made(root: Path) -> Any:
    return made_once(root, "x", lambda folder: (folder / "data").write_text("made"))  # type: ignore[arg-type,return-value]


WRITERS: dict[str, Callable[[Path, Path], Any]] = {
    "pack": lambda root, target: ensure_stored(root, "jpeg", "pack", target=target),
    "tar": lambda root, target: ensure_stored(root, "pixels", "tar", target=target),
    "mapped": lambda root, target: ReadOnlyMappedDataset(root, target),
    "raw": lambda root, target: RawFileDataset(root),
    "made": lambda root, target: made(root),
}
NAMES = ["photos", "photos/1.jpg", "photos/deep", "notes", "notes/a.txt", ".", "new", "photos.raw",
         "photos.x", ".photos.raw.partial", ".new.partial", ".photos.x.partial",
         "photos.pixels.header", ".new.lock"]  # fmt: skip


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("writer", WRITERS)
@given(
    planted=st.dictionaries(
        st.sampled_from(
            [
                *NAMES,
                "new/thesis.txt",
                "photos.raw/thesis.txt",
                "photos.x/thesis.txt",
                ".photos.raw.partial/new",
                ".new.partial/journal",
            ]
        ),
        st.sampled_from([b"years of work", b"{}", b"[1, 2, 3, 4, 5]"]),
        max_size=4,
    ),
    target=st.sampled_from(NAMES),
    twice=st.booleans(),
)
def test_no_writer_loses_what_others_wrote(
    tmp_path_factory: pytest.TempPathFactory,
    writer: str,
    planted: dict[str, bytes],
    target: str,
    twice: bool,
) -> None:
    home = tmp_path_factory.mktemp("home")
    try:
        for name in ("photos", "photos/deep", "notes"):
            (home / name).mkdir()
        for number, name in enumerate(["photos/1.jpg", "photos/deep/2.jpg", "notes/3.jpg"]):
            Image.new("RGB", (8, 6), (60 * number, 0, 0)).save(home / name)
        (home / "notes" / "a.txt").write_text("years of work")
        for name, content in planted.items():
            if not os.path.lexists(home / name) and not (home / name).parent.is_file():
                (home / name).parent.mkdir(exist_ok=True)
                (home / name).write_bytes(content)
        before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
        for _ in range(1 + twice):
            try:
                WRITERS[writer](home / "photos", home / target)
            except StudyError as error:
                assert str(error).endswith(".") and "\n" not in str(error)
        assert {path: path.read_bytes() for path in before} == before
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_sentence(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Lustre where it is mounted without them, and some of FUSE."""

    def flock(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with (
        pytest.raises(StudyError, match="is on a file system without locks"),
        locked(tmp_path / "set"),
    ):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / ".set.lock").write_text("somebody's")
    with pytest.raises(StudyError, match="without locks"), locked(tmp_path / "set"):
        pass
    assert (tmp_path / ".set.lock").read_text() == "somebody's"
