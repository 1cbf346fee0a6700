"""Headers, states, lists and results: whatever stands under their names, reading them ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_impl import CentreCrops, DecodedImages, RandomCrops, ThreadedLoader
from datasets_impl.convert import convert_to_shards
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.doctor.__main__ import main as doctor
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import decoded
from datasets_impl.files.records import MOST_BYTES, bytes_of, content_of, json_of
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.files.whole import is_unfinished
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.stored import is_stored_set
from datasets_impl.formats.unfinished import is_unfinished_set
from datasets_impl.labelled import as_files
from datasets_impl.sources import JpegBytes
from scripts.report.written import LIST, write_all
from scripts.session import publishing
from scripts.session.state import is_session, published_of

DEEP = "[" * 200_000
GIGABYTE = 1_000_000_000


def large(path: Path) -> None:
    """As large as it says, with nothing on the disk."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(GIGABYTE)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def deep(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_text(DEEP)


HARMS = [large, pipe, deep]


@pytest.mark.parametrize("harm", [*HARMS, Path.mkdir])
def test_what_is_no_small_file_of_json_is_an_error_of_one_kind(
    harm: Callable[[Path], Any], tmp_path: Path
) -> None:
    harm(tmp_path / "file")
    with pytest.raises(ValueError, match=r"regular file|1,000,000,000 bytes|nested too deep"):
        json_of(tmp_path / "file")


LISTED = {
    "convert": lambda paths, to: ensure_stored(paths, "jpeg", "pack", to),
    "convert pixels": lambda paths, to: ensure_stored(paths, "pixels", "pack", to),
    "shards": lambda paths, to: convert_to_shards(paths, to, workers=1),
    "crops": lambda paths, to: RandomCrops(paths, size=8)[0],
    "decoded": lambda paths, to: DecodedImages(paths)[0],
    "pairs": lambda paths, to: CentreCrops([(path, 1) for path in paths], size=8)[0],
    "in memory": lambda paths, to: JpegBytes(as_files(paths)),
    "loader": lambda paths, to: next(iter(ThreadedLoader(DecodedImages(paths), where="trainer"))),
    "pillow": lambda paths, to: decoded(paths[0]),
}  # fmt: skip


@pytest.mark.parametrize("use", LISTED)
def test_a_pipe_in_a_list_of_pictures_is_named_and_not_waited_for(use: str, tmp_path: Path) -> None:
    pipe(tmp_path / "one.jpg")
    with pytest.raises(StudyError, match=r"one\.jpg could not be read \(it is a pipe, no file\)"):
        LISTED[use]([str(tmp_path / "one.jpg")], tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["one.jpg"]


def test_a_file_is_read_whole_whatever_it_says_of_its_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content := os.urandom(3_000_000))
    assert bytes_of(str(tmp_path / "file")) == content
    assert bytes_of("/proc/self/cmdline") == Path("/proc/self/cmdline").read_bytes() != b""
    (tmp_path / "empty").touch()
    assert bytes_of(str(tmp_path / "empty")) == b""
    with pytest.raises(OSError, match="it is a device, no file"):
        bytes_of(os.devnull)


def test_what_can_be_read_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"a": 1}')
    assert json_of(tmp_path / "file") == {"a": 1}
    assert content_of(tmp_path / "file", 8) == b'{"a": 1}'
    with pytest.raises(ValueError, match="it has 8 bytes, and 7 is the most"):
        content_of(tmp_path / "file", 7)
    with pytest.raises(FileNotFoundError):
        json_of(tmp_path / "none")
    open_now = Path("/proc/self/fd")
    before = len([*open_now.iterdir()]) if open_now.exists() else 0
    with pytest.raises(ValueError, match="regular"):
        content_of(tmp_path)
    assert not before or len([*open_now.iterdir()]) == before


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("header.json", is_stored_set),
        ("journal", is_unfinished_set),
        ("unfinished", is_unfinished),
        ("SESSION.txt", is_session),
        ("session.json", lambda folder: bool(published_of(folder))),
        ("index.json", publishing.is_pages),
        ("machine.json", lambda folder: publishing.is_home(folder, "lab")),
    ],
)
def test_a_header_that_nobody_can_read_is_none(
    name: str, is_ours: Callable[[Path], bool], harm: Callable[[Path], None], tmp_path: Path
) -> None:
    harm(tmp_path / name)
    assert not is_ours(tmp_path)


@pytest.mark.parametrize("harm", HARMS)
def test_the_list_of_a_report(harm: Callable[[Path], None], tmp_path: Path) -> None:
    harm(tmp_path / LIST)
    with pytest.raises(StudyError, match="was not written by this study; move it away"):
        write_all(tmp_path, {"index.html": ""}, "report")


@pytest.mark.parametrize("option", ["--beside", "--compare"])
@pytest.mark.parametrize("harm", HARMS)
def test_what_the_doctor_is_given(
    option: str,
    harm: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    harm(tmp_path / "file.json")
    given = [str(tmp_path / "file.json")]
    assert doctor([option, *given * 2] if option == "--compare" else [option, *given, "x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {given[0]}") and said.count("\n") == 1, said


def test_a_list_that_names_files_elsewhere_deletes_none(tmp_path: Path) -> None:
    write_all(tmp_path / "out", {"index.html": "", "old.csv": "mine"}, "report")
    listed = json.loads((tmp_path / "out" / LIST).read_text())
    for name in ("../thesis.txt", str(tmp_path / "thesis.txt")):
        (tmp_path / "thesis.txt").write_text("mine")
        files = {**listed["files"], name: listed["files"]["old.csv"]}
        (tmp_path / "out" / LIST).write_text(json.dumps({**listed, "files": files}))
        with pytest.raises(StudyError, match="was not written by this study"):
            write_all(tmp_path / "out", {"index.html": ""}, "report")
        assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("files", [[{}], [["a"]], 1])
def test_a_list_of_pages_that_was_edited_is_none(files: Any, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"project": "x"}')
    (tmp_path / publishing.LIST).write_text(json.dumps({"files": files}))
    with pytest.raises(StudyError, match="holds something else than asv's own pages"):
        check_replaceable(tmp_path, publishing.is_pages, what="asv's own pages")


@pytest.mark.parametrize("count", [10**12, 1e400, -1, None, "12"])
def test_a_manifest_with_an_odd_count_is_looked_at_at_once(count: Any, tmp_path: Path) -> None:
    spec = CorpusSpec(2, 16)
    manifest = ensure_corpus(spec, cache=tmp_path).root.parent / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "count": count}))
    try:
        found = ensure_corpus(spec, cache=tmp_path)
    except StudyError as error:
        assert "holds something else than a whole corpus" in str(error)
    else:
        assert found.manifest.count == 2


def test_a_damaged_set_with_a_pipe_for_its_header_is_not_waited_for(folder: Path) -> None:
    made = ensure_stored(folder, "jpeg", "pack").folder
    pipe(made / "header.json")
    with pytest.raises(StudyError, match="holds something else than a stored set"):
        ensure_stored(folder, "jpeg", "pack")


def test_a_log_of_a_study_with_many_rounds_is_not_too_large() -> None:
    a_round = 150_000  # bytes that the standard profile logs
    assert 1000 * a_round < MOST_BYTES
