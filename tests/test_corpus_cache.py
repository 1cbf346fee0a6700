"""A killed, failing or simultaneous build never leaves a partial corpus."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from datasets_impl.corpus import ensure_corpus
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir, images_dir
from tests.corpora import REPOSITORY, SMALL, contents, leftovers


def test_a_whole_corpus_is_not_built_again(tmp_path: Path) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    before = [Path(path).stat().st_ino for path in first.paths]
    again = ensure_corpus(SMALL, cache=tmp_path)
    assert [Path(path).stat().st_ino for path in again.paths] == before


@pytest.mark.parametrize("damage", ["missing", "truncated", "older"])
def test_a_damaged_corpus_is_rebuilt(tmp_path: Path, damage: str) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    whole = contents(first)
    victim = Path(first.paths[3])
    if damage == "missing":
        victim.unlink()
    elif damage == "truncated":
        victim.write_bytes(whole[3][:100])
    else:
        manifest = first.root.parent / "manifest.json"
        facts = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**facts, "generator": 0, "unknown": 1}))
    assert contents(ensure_corpus(SMALL, cache=tmp_path)) == whole
    assert leftovers(tmp_path) == []


def test_a_picture_that_changed_is_noticed_where_a_study_is_prepared(tmp_path: Path) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    whole = contents(first)
    for victim in (Path(first.paths[3]), Path(first.paths[-1])):
        with victim.open("r+b") as file:
            file.seek(victim.stat().st_size // 2)
            file.write(bytes(50))
    assert contents(ensure_corpus(SMALL, cache=tmp_path)) != whole, "measurements read none of it"
    assert contents(ensure_corpus(SMALL, cache=tmp_path, verify=True)) == whole
    inode = Path(first.paths[0]).stat().st_ino
    assert ensure_corpus(SMALL, cache=tmp_path, verify=True).paths == first.paths
    assert Path(first.paths[0]).stat().st_ino == inode, "a whole one is not built again"


def test_a_cache_that_may_not_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a group shares; what it lacks is refused before anything is made."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    first = ensure_corpus(SMALL)
    access = os.access
    monkeypatch.setattr(os, "access", lambda at, how: not how & os.W_OK and access(at, how))
    assert ensure_corpus(SMALL).paths == first.paths
    before = set(tmp_path.rglob("*"))
    with pytest.raises(StudyError, match=f"cannot be written; .* set {CACHE_VARIABLE}"):
        ensure_corpus(replace(SMALL, count=3))
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["thesis.txt", "images/thesis.txt", "manifest.json"])
def test_what_somebody_else_put_into_a_corpus_is_left(tmp_path: Path, name: str) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    Path(first.paths[3]).unlink()
    stray = first.root.parent / name
    stray.write_text("years of work")
    with pytest.raises(StudyError, match="holds something else than a whole corpus"):
        ensure_corpus(SMALL, cache=tmp_path)
    assert stray.read_text() == "years of work"


BUILDER = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"  # ignored in a job
    "from pathlib import Path; from datasets_impl.corpus import *; import sys;"
    "c = ensure_corpus(CorpusSpec(int(sys.argv[2]), 64), cache=Path(sys.argv[1]));"
    "print(c.manifest.content_hash)"
)


def start_builder(cache: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(cache), str(count)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt_mid_build(cache: Path, kind: signal.Signals) -> None:
    builder = start_builder(cache, 50_000)
    while not any(cache.glob("corpora/.*.partial/new/images/00*.jpg")):
        assert builder.poll() is None, builder.communicate()[1]
        time.sleep(0.01)
    builder.send_signal(kind)
    builder.communicate()
    assert builder.returncode != 0


def test_a_killed_build_leaves_no_corpus_and_is_swept_by_the_next(tmp_path: Path) -> None:
    interrupt_mid_build(tmp_path, signal.SIGKILL)
    assert leftovers(tmp_path)
    assert not list(tmp_path.glob("corpora/bundled*"))
    assert len(contents(ensure_corpus(SMALL, cache=tmp_path))) == SMALL.count
    assert leftovers(tmp_path) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    interrupt_mid_build(tmp_path, signal.SIGINT)
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("corpora/bundled*"))


def test_two_builders_at_once_give_one_corpus(tmp_path: Path) -> None:
    builders = [start_builder(tmp_path, 200) for _ in range(2)]
    answers = [builder.communicate() for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], answers
    assert len({hashed for hashed, _ in answers}) == 1
    assert len(list(tmp_path.glob("corpora/bundled*"))) == 1
    assert leftovers(tmp_path) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def fsync(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StudyError, match="disk is full") as caught:
        ensure_corpus(SMALL, cache=tmp_path)
    assert ".building." not in str(caught.value)
    monkeypatch.undo()
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("corpora/bundled*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere, so no folder is read-only")
def test_a_read_only_cache_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StudyError, match="may not be written"):
            ensure_corpus(SMALL, cache=tmp_path)
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
        with pytest.raises(StudyError, match=CACHE_VARIABLE):
            cache_dir()
    finally:
        tmp_path.chmod(0o700)


def test_a_read_only_file_system_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StudyError, match="may not be written"):
        ensure_corpus(SMALL, cache=tmp_path / "cache")


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "new" / "cache"))
    monkeypatch.delenv(IMAGES_VARIABLE, raising=False)
    assert cache_dir() == tmp_path / "new" / "cache"
    assert cache_dir().is_dir()
    assert images_dir() is None
    monkeypatch.setenv(IMAGES_VARIABLE, str(tmp_path))
    assert images_dir() == tmp_path
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StudyError, match=CACHE_VARIABLE):
        cache_dir()
