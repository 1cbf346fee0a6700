"""The doctor writes over nothing but what is its own, and never among a user's pictures."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import jsonschema
import psutil
import pytest

from datasets_impl.doctor.__main__ import main
from datasets_impl.doctor.process.examine import examine
from datasets_impl.doctor.process.heard import Ask, Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.page import GENERATOR, page
from datasets_impl.doctor.report.writing import FIELDS, check_places, draw_session, write_report
from datasets_impl.errors import StudyError
from datasets_impl.files.look import LOOK
from tests.commands import python
from tests.folders import snapshot
from tests.leftovers import until

REPOSITORY = Path(__file__).parents[1]
NAMES = ("index.html", "diagnosis.json", "schema.json")


@pytest.fixture
def found() -> Diagnosis:
    return diagnose("x", Heard({"look": {"type": "Photos", "length": 10}}))


def test_its_own_output_is_written_anew(found: Diagnosis, tmp_path: Path) -> None:
    out, svg = tmp_path / "out", tmp_path / "session.svg"
    for _ in range(2):
        check_places("mine.py:make", out, svg)
        draw_session(found, write_report(found, out), ["x"], svg)
    assert {path.name for path in out.iterdir()} == set(NAMES)
    check_places("x", None, REPOSITORY / "results/doctor/session.svg")


def test_a_package_in_a_zip_writes_its_page(found: Diagnosis, tmp_path: Path) -> None:
    """As a wheel on PYTHONPATH is one."""
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as packed:
        for path in (REPOSITORY / "datasets_impl").rglob("*"):
            if path.suffix in (".py", ".j2"):
                packed.write(path, path.relative_to(REPOSITORY))
    code = (
        "from datasets_impl.doctor.process.heard import Heard\n"
        "from datasets_impl.doctor.report import diagnosis, page\n"
        "found = diagnosis.diagnose('x', Heard({'look': {'type': 'Photos', 'length': 10}}))\n"
        "assert 'package.zip' in page.__file__\n"
        "print(page.page(found), end='')"
    )
    done = python("-P", "-c", code, at=tmp_path, PYTHONPATH=tmp_path / "package.zip")
    assert done.stdout == page(found), done.stderr


@pytest.mark.parametrize("name", [*NAMES, "drawn.svg"])
@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[1, 2]",
        '{"title": "Diagnosis"}',
        "<svg>mine</svg>",
        "<html>mine</html>",
        "\udcff",
        f"In its page stands {GENERATOR}",
        f"<!doctype html>\n<!-- {GENERATOR} is what I quote -->",
        '<svg id="doctor-matrix">mine</svg>',
        json.dumps(dict.fromkeys([*sorted(FIELDS), "my notes"], 1)),
        json.dumps({"properties": dict.fromkeys(sorted(FIELDS), 1)}),
    ],
)
def test_what_another_wrote_is_left(
    name: str, content: str, found: Diagnosis, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(errors="surrogateescape"))
    out, svg = (None, path) if name == "drawn.svg" else (tmp_path, None)
    with pytest.raises(StudyError, match="left as it is"):
        check_places("x", out, svg)
    with pytest.raises(StudyError, match="left as it is"):
        if svg:
            draw_session(found, None, [], svg)
        else:
            write_report(found, tmp_path)
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_links_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link.svg").symlink_to("file")
    (tmp_path / "index.html").mkdir()
    for out, svg in ((tmp_path / "file", None), (None, tmp_path / "link.svg"), (tmp_path, None)):
        with pytest.raises(StudyError):
            check_places("x", out, svg)


@pytest.mark.parametrize("below", [".", "report", "a/b"])
@pytest.mark.parametrize("option", ["--out", "--svg"])
def test_nothing_is_written_among_the_pictures(
    below: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even a folder, which a dataset of one folder for each class would take for a class."""
    photos, link = tmp_path / "photos", tmp_path / "link"
    photos.mkdir()
    link.symlink_to(photos)
    place = link / below / ("drawn.svg" if option == "--svg" else "")
    assert main([str(photos), option, str(place)]) == 2
    assert "only read" in capsys.readouterr().err
    assert not list(photos.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    assert main(["~/photos", "--out", "~/out"]) == 2  # no picture in it
    assert (tmp_path / "out").is_dir() and not (Path.cwd() / "~").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--budget", one] for one in ("1m", "-5", "nan", "inf", "1e99", "", "0")]
    + [["--step-ms", one] for one in ("abc", "0", "-1", "nan", "inf")]
    + [["--kwargs", one] for one in ("", "[]", "3", "{'a': 1}", "[" * 100_000, "null")]
    + [["--out", ""], ["--out", "~nobody-here/x"], ["--svg", ""]],
)
def test_arguments_that_cannot_be_meant_are_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mine.py:make", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.strip().splitlines()) == 1 and len(said) < 500


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_command_writes_what_its_schema_says_and_leaves_nothing_else(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("STARTED_BY", str(tmp_path))
    before = snapshot(folder)
    assert main([str(folder), "--budget", "10", "--out", str(out), "--step-ms", "10000"]) == 0
    assert snapshot(folder) == before, "the user's files are as they were"
    assert not list(scratch.iterdir()), "no temporary file is left"
    assert until(lambda: not any(_started_by(tmp_path, pid) for pid in psutil.pids()))
    assert {path.name for path in out.iterdir()} == set(NAMES)
    written = json.loads((out / "diagnosis.json").read_text())
    jsonschema.validate(written, json.loads((out / "schema.json").read_text()))
    assert written["step"]["fine"] and "the step is the bottleneck" in capsys.readouterr().out
    html = (out / "index.html").read_text()
    assert written["verdict"].rstrip(".") in html and "http" not in html.split("<main>")[1]
    assert LOOK in html, "the look of the study's page"


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_no_compiled_files_are_left_beside_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of what the doctor imports nor of what a worker imports that is not forked."""
    (tmp_path / "helper.py").write_text("ROWS = 64\n")
    (tmp_path / "train.py").write_text(
        "import helper\n"
        "import torch\n\n"
        "class Rows(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n"
        "        return helper.ROWS\n\n"
        "    def __getitem__(self, index):\n"
        "        return torch.full((8,), index)\n\n"
        "def loader():\n"
        "    return torch.utils.data.DataLoader(Rows(), batch_size=8, num_workers=1)\n"
    )
    before = snapshot(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    asked = [Ask("inside", 0.5), Ask("look", 0.5), Ask("restarted", 60.0)]
    heard = examine(str(tmp_path / "train.py:loader"), {}, asked)
    assert heard.answers["restarted"]["method"] == "forkserver", heard
    assert snapshot(tmp_path) == before


def _started_by(test: Path, pid: int) -> bool:
    """Whether a process has the environment of a test, whoever its parent is by now."""
    try:
        return psutil.Process(pid).environ().get("STARTED_BY") == str(test)
    except psutil.Error:
        return False
