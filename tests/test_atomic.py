"""A file is the old one or the new one; what a user can mend is said in one sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from datasets_impl.errors import BAD_INPUT, INTERRUPTED, UNREAD, StudyError, exit_on_study_error
from datasets_impl.files.atomic import atomic_file, atomic_write, atomic_writes
from datasets_impl.loaders.unnamed import lacking
from datasets_impl.media.workspaces import temporary_parent


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file.json"
    path.parent.mkdir()
    path.write_text("old")
    return path


def only(target: Path, content: str) -> bool:
    """`target` holds `content` and nothing stands beside it."""
    return target.read_text() == content and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("content", ["new \N{GREEK SMALL LETTER MU}", b"new \xce\xbc"])
def test_write(content: str | bytes, target: Path) -> None:
    atomic_write(target, content)
    assert target.read_bytes() == b"new \xce\xbc"
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o644


def test_write_makes_the_folder(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b" / "file", "new")
    assert only(tmp_path / "a" / "b" / "file", "new")


def test_reader_sees_the_old_file_until_the_end(target: Path) -> None:
    with target.open() as open_before, atomic_file(target) as handle:
        handle.write(b"new")
        handle.flush()
        assert target.read_text() == "old"
        assert open_before.read() == "old"
    assert only(target, "new")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_old_file_stays_when_the_writer_fails(failure: type[BaseException], target: Path) -> None:
    with pytest.raises(failure), atomic_file(target) as handle:
        handle.write(b"half of the ne")
        raise failure
    assert only(target, "old")


KILLED = """
import os, signal, sys
from pathlib import Path
from datasets_impl.files.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as handle:
    handle.write(b"half of the ne")
    handle.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_goes_and_what_others_write_stays(target: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(target)])
    assert len(list(target.parent.iterdir())) == 2
    mine = target.with_name(f".{target.name}.mine.tmp")
    mine.write_text("of the user")
    with atomic_file(target) as outer:
        outer.write(b"outer")
        atomic_write(target, "inner")
    assert target.read_text() == "outer" and mine.read_text() == "of the user"
    mine.unlink()
    assert only(target, "outer")


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "may not be written|No permission"),
        (errno.EACCES, "may not be written|No permission"),
        (errno.EIO, "Could not write.*; mend that, or name another place"),
        (errno.EFBIG, "Could not write.*; raise the limit of ulimit -f"),
    ],
)
def test_error_of_the_disk(
    code: int, said: str, step: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    owner = os if step == "fsync" else Path
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(StudyError, match=said) as raised:
        atomic_write(target, "new")
    monkeypatch.undo()
    assert is_one_sentence(str(raised.value)) and str(target) in str(raised.value)
    assert only(target, "old")


def test_a_folder_whose_rights_are_taken_away_meanwhile(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the temporary file can go then; the next writer sweeps it."""

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as taken:
        taken.setattr(Path, "replace", refuse)
        taken.setattr(Path, "unlink", refuse)
        with pytest.raises(StudyError, match="may not be written"):
            atomic_write(target, "new")
    atomic_write(target, "newer")
    assert only(target, "newer")


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_what_is_written_has_the_rights_that_the_umask_leaves(mask: int, target: Path) -> None:
    before = os.umask(mask)
    try:
        atomic_write(target, "mine")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", r"a\nb"), ("a\r", r"a\r"), ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
     ("\x9b2J", r"\x9b2J"), ("\x07\x7f\t", r"\x07\x7f\t"), ("hübsch \N{GRINNING FACE}", None)],
)  # fmt: skip
def test_what_a_terminal_would_obey_in_a_name_is_shown(
    name: str, shown: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    @exit_on_study_error
    def main() -> int:
        raise StudyError(f"{name} is no file.")

    assert main() == BAD_INPUT
    assert capsys.readouterr().err == f"error: {shown or name} is no file.\n"


def test_no_temporary_file_can_be_made(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("datasets_impl.files.atomic.os.open", full)
    with pytest.raises(StudyError, match="disk is full"):
        atomic_write(target, "new")
    monkeypatch.undo()
    assert only(target, "old")


WRITES = """
import resource, sys
from pathlib import Path
from datasets_impl.files.atomic import atomic_writes
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
atomic_writes({Path(name): "new" * size for name, size in zip(sys.argv[1:], (1, 1000, 1))})
"""


def test_several_files_are_written_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("page", "data", "schema")]
    for path in paths:
        path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", WRITES, *map(str, paths)], capture_output=True, text=True
    )
    assert f"Could not write {paths[1]}: File too large" in done.stderr, done.stderr
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    atomic_writes({path: "new" for path in paths})
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert {path.read_text() for path in paths} == {"new"}


def test_the_limit_on_files_is_named_where_shared_memory_meets_it() -> None:
    said = lacking(4096, 1, os.strerror(errno.EFBIG), errno.EFBIG)
    assert is_one_sentence(said) and "ulimit -f" in said
    assert "smaller batch_size" in lacking(4096, 1, os.strerror(errno.ENOSPC), errno.ENOSPC)


def test_no_place_for_temporary_files_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("datasets_impl.files.paths.tempfile.gettempdir", none)
    with pytest.raises(StudyError, match="set TMPDIR to a folder") as raised:
        temporary_parent()
    assert is_one_sentence(str(raised.value))


@pytest.mark.parametrize("stands", ["a file", "a link that leads nowhere"])
@pytest.mark.parametrize("below", ["file", "folder/file"])
def test_a_file_where_a_folder_should_be(below: str, stands: str, tmp_path: Path) -> None:
    if stands == "a file":
        (tmp_path / "plain").write_text("a file")
    else:
        (tmp_path / "plain").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="stands where a folder would be") as raised:
        atomic_write(tmp_path / "plain" / below, "new")
    assert is_one_sentence(str(raised.value))


# --- exit codes ------------------------------------------------------------------------------


def test_study_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "The folder [bold]x[/bold] " + "is rather long, " * 20 + "and is missing."

    @exit_on_study_error
    def main() -> int:
        raise StudyError(sentence)

    assert main() == BAD_INPUT == 2
    out, err = capsys.readouterr()
    assert out == "" and err == f"error: {sentence}\n"


def test_interrupt_is_one_line_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    @exit_on_study_error
    def main() -> int:
        raise KeyboardInterrupt

    assert main() == INTERRUPTED == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_success_and_real_bugs_pass_through() -> None:
    @exit_on_study_error
    def fine(code: int) -> int:
        return 1 // code

    assert fine(1) == 1
    with pytest.raises(ZeroDivisionError):
        fine(0)


COMMAND = """
import sys
from rich.console import Console
from datasets_impl.errors import StudyError, exit_on_study_error

@exit_on_study_error
def main():
    Console().print("\\u2713 a line\\n" * 9)
    print("\\u2713 a line\\n" * 9)
    if sys.argv[1:] == ["fails"]:
        raise StudyError("It is missing.")
    return 0

sys.exit(main())
"""


def run_in(shell: str, *given: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that prints, or `fails`, with streams as a line of the shell makes them."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {shell}', "-", sys.executable, "-c", COMMAND,
         *given],
        capture_output=True, text=True, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.parametrize("stderr", [False, True])
def test_what_nobody_reads_ends_as_by_sigpipe(
    stderr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what rich prints, which ends it with 1: a code that commands have for something else."""
    unread, writer = os.pipe()
    os.close(unread)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        assert exit_on_study_error(lambda: Console(stderr=stderr).print("a line") or 0)() == UNREAD


def test_a_command_that_ends_itself_keeps_its_code() -> None:
    with pytest.raises(SystemExit, match="1"):
        exit_on_study_error(lambda: sys.exit(1))()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("shell", "codes", "says"),
    [
        ("", {0}, ""),
        ("| true", {0, 141}, ""),  # it may be too quick for the reader to end
        (">&-", {0}, ""),
        ("2>&-", {0}, ""),
        ("<&- >&- 2>&-", {0}, ""),
        (">/dev/full", {2}, "could not be written (No space left on device)"),
        (">/dev/full 2>/dev/full", {2}, ""),
    ],
)
def test_streams_that_cannot_be_written_are_no_crash(
    shell: str, codes: set[int], says: str, unbuffered: str
) -> None:
    done = run_in(shell, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode in codes, done.stderr
    assert says in done.stderr and done.stderr.count("\n") == bool(says), done.stderr


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_read_still_ends_with_its_code(shell: str) -> None:
    assert run_in(shell, "fails").returncode == 2


@pytest.mark.parametrize("name", ["ascii", "latin-1"])
def test_letters_that_an_encoding_lacks_are_escaped(name: str) -> None:
    done = run_in("", PYTHONIOENCODING=name)
    assert done.returncode == 0 and "\\u2713 a line" in done.stdout, done.stderr


@pytest.mark.parametrize("columns", ["0", "-5", "x", "²", "9" * 5000, ""])
def test_a_width_that_no_terminal_has_hides_nothing(columns: str) -> None:
    done = run_in("", "fails", COLUMNS=columns, LINES=columns)
    assert done.stdout.count("a line") == 18, done.stderr
    assert done.stderr == "error: It is missing.\n"


def test_a_closed_stream_does_not_lead_into_the_next_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    body = (
        "import os, sys; from datasets_impl.errors import exit_on_study_error\n"
        "def main():\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        file.write('mine'); file.flush(); os.system('echo theirs; echo theirs >&2')\n"
        "    return 0\n"
        "sys.exit(exit_on_study_error(main)())"
    )
    line = '"$0" -c "$1" "$2" >&- 2>&-'
    assert subprocess.run(["bash", "-c", line, sys.executable, body, file]).returncode == 0
    assert file.read_text() == "mine"
