"""Working folders: the same bytes on every medium, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import COUNT

from datasets_impl import registry
from datasets_impl.corpus import Corpus
from datasets_impl.doctor.process.clearing import clear
from datasets_impl.errors import StudyError, Unsupported
from datasets_impl.factors import LOCAL_MEDIA
from datasets_impl.files.paths import CACHE_VARIABLE
from datasets_impl.loading import loader, run_epoch
from datasets_impl.media import workspaces as media
from datasets_impl.media.workspaces import PARENTS, filesystem, scratch_parent, sweep, workspace
from datasets_impl.system import owners, running
from datasets_impl.system.owners import PREFIX, here, own_prefix
from tests.folders import snapshot
from tests.leftovers import ended, of_ended

every_medium = pytest.mark.parametrize("medium", LOCAL_MEDIA)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache and a RAM disk folder of this test's own, so that others' folders do not matter."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    own = media.RAM_DISK / f"pytest-media-{os.getpid()}"
    if media.RAM_DISK.is_dir():
        own.mkdir()
        monkeypatch.setattr(media, "RAM_DISK", own)
    yield
    shutil.rmtree(own, ignore_errors=True)


def test_each_medium_has_its_folder() -> None:
    """One without would be measured elsewhere under its name."""
    assert tuple(PARENTS) == LOCAL_MEDIA


def parent_of(medium: str) -> Path:
    try:
        return scratch_parent(medium)
    except Unsupported as reason:
        pytest.skip(str(reason))


@every_medium
def test_same_bytes_and_removed(medium: str, corpus: Corpus) -> None:
    parent = parent_of(medium)
    with workspace(corpus.root, medium) as folder:
        assert folder.is_relative_to(parent)
        assert snapshot(folder) == snapshot(corpus.root)
        (folder / "image_data.dat").write_bytes(b"written by a dataset")
        (folder.parent / "images.pixels").write_bytes(b"beside the folder")
    assert list(parent.iterdir()) == []
    assert len(snapshot(corpus.root)) == COUNT


@every_medium
def test_removed_after_an_exception(medium: str, corpus: Corpus) -> None:
    parent = parent_of(medium)
    with pytest.raises(ZeroDivisionError), workspace(corpus.root, medium):
        raise ZeroDivisionError
    assert list(parent.iterdir()) == []


def test_ram_disk_holds_copies_in_memory(corpus: Corpus) -> None:
    parent_of("ramdisk")
    with workspace(corpus.root, "ramdisk") as folder:
        assert filesystem(folder) in media.MEMORY_FILESYSTEMS
        assert all(path.stat().st_nlink == 1 for path in folder.iterdir())


def test_disk_without_hard_links_gets_copies(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent_of("disk-warm")

    def refused(self: Path, target: Path) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with workspace(corpus.root, "disk-warm") as folder:
        assert snapshot(folder) == snapshot(corpus.root)
        assert all(path.stat().st_nlink == 1 for path in folder.iterdir())


def test_a_worker_that_ends_leaves_the_folder(corpus: Corpus) -> None:
    parent_of("disk-warm")
    with workspace(corpus.root, "disk-warm") as folder:
        for _ in range(2):
            with loader(registry.build("naive", folder), 1) as batches:
                assert run_epoch(batches) == COUNT
        assert len(snapshot(folder)) == COUNT


def test_a_forked_child_that_is_stopped_leaves_the_folder(corpus: Corpus) -> None:
    """It inherits the signal handler, and unwinds through the same block as its parent."""
    parent_of("disk-warm")
    parent = os.getpid()
    try:
        with workspace(corpus.root, "disk-warm") as folder:
            child = os.fork()
            if child == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM
            assert len(snapshot(folder)) == COUNT
    except BaseException as stop:
        if os.getpid() != parent:
            os._exit(stop.code if isinstance(stop, SystemExit) else 1)  # type: ignore[arg-type]
        raise


def test_signal_handler_is_restored(corpus: Corpus) -> None:
    parent_of("disk-warm")
    before = signal.getsignal(signal.SIGTERM)
    with workspace(corpus.root, "disk-warm"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


# --- owners that die -------------------------------------------------------------------------

OWNER = """
import sys, time
from pathlib import Path
from datasets_impl.media import workspaces as media
media.RAM_DISK = Path(sys.argv[3])
with media.workspace(Path(sys.argv[1]), sys.argv[2]) as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def owner(corpus: Corpus, medium: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that works in a workspace, and the workspace's home."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(corpus.root), medium, str(media.RAM_DISK)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        folder = Path(process.stdout.readline().strip())
        assert len(snapshot(folder)) == COUNT
        yield process, folder.parent
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("medium", ["ramdisk", "disk-warm"])
def test_removed_after_sigterm(medium: str, corpus: Corpus) -> None:
    parent = parent_of(medium)
    with owner(corpus, medium) as (process, home):
        assert home.exists()
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        assert list(parent.iterdir()) == []


def test_folder_of_a_killed_owner_is_swept_and_of_a_live_one_not(corpus: Corpus) -> None:
    parent = parent_of("disk-warm")
    with owner(corpus, "disk-warm") as (process, home):
        assert sweep(parent) == 0
        assert len(snapshot(home / "images")) == COUNT
        process.kill()
        process.wait()
        assert home.exists(), "SIGKILL cannot be caught; if the folder is gone, who removed it?"
        assert sweep(parent) == 1
        assert not home.exists()


def test_next_workspace_sweeps_what_a_killed_owner_left(corpus: Corpus) -> None:
    parent = parent_of("disk-warm")
    left = parent / f"{of_ended()}abc"
    left.mkdir()
    with workspace(corpus.root, "disk-warm") as outer:
        assert not left.exists()
        with workspace(corpus.root, "disk-warm"):
            assert outer.exists(), "this process is alive"


def test_sweep_takes_nothing_else(tmp_path: Path) -> None:
    gone = of_ended()
    mine, link = f"{gone}mine", f"{gone}link"
    kept = [f"{PREFIX}{owner}-{here()}-1" for owner in ("x", "²", 10**12, os.getpid())]
    kept += ["other-1-1", f"{PREFIX}{ended()}-older", mine]
    for name in kept:
        (tmp_path / "parent" / name).mkdir(parents=True)
    (tmp_path / "parent" / mine / "thesis.txt").write_text("of somebody who names folders so")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / media.NOTE).write_text(media.TEXT)
    (tmp_path / "parent" / link).symlink_to(tmp_path / "elsewhere")
    kept.append(link)
    assert sweep(tmp_path / "parent") == 0
    assert sorted(path.name for path in (tmp_path / "parent").iterdir()) == sorted(kept)


@pytest.mark.parametrize("remaining", ["torchinductor_me/empty", "pymp-abc/listener"])
def test_what_an_outliving_process_made_again_is_swept(remaining: str, tmp_path: Path) -> None:
    """Without the note; a folder with no file, and perhaps with a socket, holds nothing to lose."""
    left = tmp_path / f"{of_ended()}abc" / remaining
    left.parent.mkdir(parents=True)
    if left.name == "listener":
        with socket.socket(socket.AF_UNIX) as listener:
            parent = os.open(left.parent, os.O_PATH)  # names of sockets are short
            listener.bind(f"/proc/self/fd/{parent}/{left.name}")
            os.close(parent)
    else:
        left.mkdir()
    assert sweep(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_without_the_note_that_holds_a_file_or_a_link_is_kept(tmp_path: Path) -> None:
    for number, name in enumerate(("torchinductor_me/thesis.txt", "pymp-abc/link")):
        file = tmp_path / f"{of_ended()}{number}" / name
        file.parent.mkdir(parents=True)
        file.symlink_to("elsewhere") if file.name == "link" else file.write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    assert sweep(tmp_path) == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("other", ["host", "start", "container"])
def test_machines_and_containers_that_share_a_folder_leave_each_others(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a pid that runs nowhere here may run there."""
    monkeypatch.setattr(media, "RAM_DISK", tmp_path)
    made = media.own_folder(tmp_path)
    (tmp_path / f"sem.{made.name}").touch()
    monkeypatch.setattr(owners, "runs", lambda pid: False)
    with monkeypatch.context() as there:
        if other == "start":  # of a host of the same name, or of this one
            (tmp_path / "boot_id").write_text("6b0f")
            there.setattr(owners, "MACHINE", (tmp_path / "boot_id",))
        elif other == "container":
            (tmp_path / "ns").symlink_to("pid:[1]")
            there.setattr(owners, "PIDS", tmp_path / "ns")
        else:
            there.setattr(socket, "gethostname", lambda: "another-host")
        assert owners.is_elsewhere(made.name)
        clear(Path(owners.own_prefix()))
        assert media.sweep_all() == 0 and (made / media.NOTE).is_file()
        assert (tmp_path / f"sem.{made.name}").is_file()
        long_ago = made.stat().st_mtime - media.LONGEST_RUN - 60
        os.utime(made, (long_ago, long_ago))
        assert sweep(tmp_path) == 1, "a machine that comes no more keeps none"
    assert media.sweep_semaphores() == 1


@pytest.mark.parametrize("named", ["a-file", "z-folder"])
def test_a_removal_that_is_cut_short_is_ended_by_the_next_sweep(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was deleted before the process was killed, the folder is known until it goes."""
    folder = tmp_path / f"{of_ended()}abc"
    (folder / "z-folder").mkdir(parents=True)
    (folder / media.NOTE).write_text(media.TEXT)
    for name in ("a-file", "z-folder/file"):
        (folder / name).write_text("of the owner")
    unlink, rmdir = os.unlink, os.rmdir

    def killed(name: str | Path) -> None:
        if named in str(name):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda path, **how: killed(path) or unlink(path, **how))
        patch.setattr(os, "rmdir", lambda path, **how: killed(path) or rmdir(path, **how))
        with pytest.raises(KeyboardInterrupt):
            media.remove(folder)
    assert (folder / media.NOTE).is_file() and len(list(folder.iterdir())) > 1
    assert sweep(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_the_compiler_of_torch_keeps_nothing_in_a_folder_that_goes() -> None:
    """Importing PyTorch makes its folder, with all above it, and names it to every child: one that
    outlives the tests would make their temporary folder again."""
    made = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert not made.is_relative_to(tempfile.gettempdir())


# --- media that are not there ----------------------------------------------------------------


def test_no_ram_disk(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "RAM_DISK", tmp_path / "absent")
    with pytest.raises(Unsupported, match="RAM disk"), workspace(corpus.root, "ramdisk"):
        pass


def test_a_disk_is_no_ram_disk(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "filesystem", lambda path: "ext4")
    with pytest.raises(Unsupported, match="RAM disk"), workspace(corpus.root, "ramdisk"):
        pass


@pytest.mark.parametrize("medium", ["disk-warm", "disk-cold"])
def test_a_cache_on_a_ram_disk_is_no_disk(
    medium: str, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "filesystem", lambda path: "tmpfs")
    with pytest.raises(Unsupported, match=CACHE_VARIABLE), workspace(corpus.root, medium):
        pass


def test_ram_disk_without_room(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = parent_of("ramdisk")
    monkeypatch.setattr(media.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(Unsupported, match="free on"), workspace(corpus.root, "ramdisk"):
        pass
    assert list(parent.iterdir()) == []


def test_full_disk_is_one_sentence_and_leaves_nothing(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of("disk-warm")

    def full(source: Path, target: Path, link: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(media, "_place", full)
    with pytest.raises(StudyError, match="disk is full"), workspace(corpus.root, "disk-warm"):
        pass
    assert list(parent.iterdir()) == []


def test_unknown_medium_is_not_taken_for_a_disk(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="floppy"), workspace(corpus.root, "floppy"):
        pass


def test_sweep_all_looks_on_every_medium(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [parent_of(medium) / f"{of_ended()}abc" for medium in ("ramdisk", "disk-warm")]
    for folder in left:
        folder.mkdir()
    assert media.sweep_all() >= 2  # others may have left something on this machine, too
    assert not any(folder.exists() for folder in left)
    monkeypatch.setattr(media, "RAM_DISK", Path("absent"))
    media.sweep_all()


def test_semaphores_that_may_not_be_removed_stay_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "RAM_DISK", tmp_path)
    name = f"sem.{of_ended()}"
    (tmp_path / f"{name}another-users").mkdir()  # which no user can unlink
    (tmp_path / f"{name}ours").touch()
    assert media.sweep_semaphores() == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}another-users"]


def test_what_runs_is_not_swept_where_proc_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    assert list(running.processes()) == []
    mine = tmp_path / f"{own_prefix()}abc"
    mine.mkdir()
    assert media.sweep(tmp_path) == 0 and mine.is_dir()
    assert not running.runs(0) and not running.runs(10**30)
