"""What the page tells a reader to write is run as it stands, beside a small folder of pictures."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

import datasets_impl
from datasets_impl import corrected, loaders, variants
from datasets_impl.contest.code import FROM_STORE, HOMES, guarded, of_the_trainer, with_setting
from datasets_impl.contest.model import Arm, Task
from datasets_impl.contest.registry import ARMS
from datasets_impl.convert import convert_to_shards
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.media.object_store import environment_of, object_store
from scripts.judging.claims import load_claims
from scripts.report.instead import FURTHER, QUESTIONS
from scripts.report.page import trainer
from scripts.root import CLAIMS, ROOT
from tests.shown import as_shown

SHOWN = {
    (question.task, question.arm)
    for question in QUESTIONS
    if (question.task, question.arm) in ARMS or question.arm not in FROM_STORE
} | {claim.instead[:2] for claim in load_claims(CLAIMS).claim if claim.instead}
WRITTEN = [
    pytest.param(
        arm,
        id=f"{task}: {name}",
        marks=pytest.mark.skipif(not arm.available, reason=f"{arm.package} is not installed"),
    )
    for (task, name), arm in ARMS.items()
    if arm.code
]


@pytest.fixture(scope="module")
def here(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos` in it, as the snippets expect."""
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "photos").mkdir()
    for path in jpeg_files(ensure_corpus(CorpusSpec(70, 40), cache=session_cache).root):
        (folder / "photos" / Path(path).name).write_bytes(Path(path).read_bytes())
    return folder


@pytest.fixture(scope="module")
def bucket(here: Path) -> Iterator[dict[str, str]]:
    """What the environment says of an object store with the photographs, and a pack of them."""
    folder = here / "bucket"
    shutil.copytree(here / "photos", folder / "photos")
    convert_to_shards(folder / "photos", folder / "packed", shard_images=8, workers=1)
    with object_store(folder, mb_per_second=1000) as store:
        yield environment_of(store.address) | {"NO_PROXY": "127.0.0.1"}


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Code that names a bucket with one that is there; other code as it is."""

    def at_hand(code: str) -> str:
        if "s3://" in code:
            # One that is kept knows the address of an earlier store, which may be gone.
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            for name, value in request.getfixturevalue("bucket").items():
                monkeypatch.setenv(name, value)
        return code.replace("s3://bucket", "s3://study")

    return at_hand


def ran(code: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Images of the last batches that the program at hand saw; run as `python program.py` would."""
    monkeypatch.chdir(here)
    program = here / "program.py"
    program.write_text(code)
    last = runpy.run_path(str(program), run_name="__main__")["batch"]
    return int(last.shape[0])


@pytest.mark.parametrize("arm", WRITTEN)
def test_the_code_of_an_arm_runs(
    arm: Arm, here: Path, store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "=..." not in arm.code and ran(store(arm.code), here, monkeypatch) == 70 - 64


@pytest.mark.parametrize("code", [one.code for one in FURTHER if one.code])
def test_so_does_the_code_of_further_questions(
    code: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(code.splitlines()) <= 5
    if "LabelledFolder" in code:
        shutil.copytree(
            here / "photos", here / "labelled" / "photos" / "one class", dirs_exist_ok=True
        )
        here = here / "labelled"
    monkeypatch.chdir(here)
    (here / "program.py").write_text(code)
    images = runpy.run_path(str(here / "program.py"), run_name="__main__")["images"]
    assert images.shape[0] == 70 - 64


@pytest.mark.parametrize("code", FROM_STORE.values(), ids=FROM_STORE)
def test_so_does_the_advice_for_an_object_store(
    code: str, here: Path, store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '"photos"' not in code, "what lies in an object store is no local folder"
    assert ran(store(guarded(code)), here, monkeypatch) == 70 - 64


@pytest.mark.parametrize("name", ["pack-batched", "pack-items"])
def test_so_it_does_with_the_workers_that_were_fastest(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = with_setting(ARMS["raw", name].code, {"num_workers": 2})
    assert "num_workers=2" in code and "__main__" in code
    assert ran(code, here, monkeypatch) == 70 - 64


@pytest.mark.parametrize("gil", [False, True], ids=["waits", "gil"])
@pytest.mark.parametrize(
    "place", sorted(place for place in SHOWN if of_the_trainer(ARMS[place].code))
)
def test_what_the_page_shows_for_each_trainer_runs(
    place: tuple[Task, str],
    gil: bool,
    here: Path,
    store: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the file runs again in each process that is started, as under Python 3.14."""
    shown = as_shown(trainer(with_setting(ARMS[place].code, {})), gil)
    assert ("where=" in shown) is not gil
    code = store(shown)
    assert ran(code, here, monkeypatch) == 70 - 64
    again = runpy.run_path(str(here / "program.py"), run_name="__mp_main__")
    assert "batches" not in again and "batch" not in again


def test_a_setting_without_workers_starts_nothing() -> None:
    for setting in ({}, {"num_workers": 0}, {"threads": 4}):
        for arm in ARMS.values():
            shown = with_setting(arm.code, setting)
            assert shown == (guarded(arm.code) if "ThreadedLoader(" in arm.code else arm.code)


def test_every_arm_that_the_page_leads_to_has_code() -> None:
    assert all(ARMS[place].code for place in SHOWN)  # type: ignore[index]


@pytest.mark.parametrize(("name", "home"), HOMES.items())
def test_a_name_is_where_it_is_imported_from(name: str, home: str) -> None:
    assert hasattr(importlib.import_module(home), name)


def class_names() -> set[str]:
    """Every class that a user can import from the package."""
    found = set()
    for package in (corrected, loaders, variants):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            found |= set(vars(importlib.import_module(module.name)))
    for path in Path(datasets_impl.__path__[0], "documented").glob("*.py"):
        found |= set(re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE))
    return found


@pytest.mark.parametrize("claim", load_claims(CLAIMS).claim, ids=lambda claim: claim.id)
def test_what_advice_quotes_is_code_and_its_classes_exist(claim: object) -> None:
    for quoted in re.findall(r"`([^`]+)`", claim.advice):  # type: ignore[attr-defined]
        ast.parse(quoted)
        if re.fullmatch(r"\w+(Loader|Dataset)", quoted):
            assert quoted in class_names() or quoted == "DataLoader"


def test_every_command_on_the_page_is_a_target() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    places = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "scripts").rglob("*.j2")]
    named = {
        name for path in places for name in re.findall(r"[`>]make (\w+)", path.read_text("utf-8"))
    }
    assert named and named <= targets
