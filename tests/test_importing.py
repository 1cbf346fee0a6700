"""A package that stands there and cannot be imported is one sentence, as one that is missing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from datasets_impl.decoders import decoder, fastest_decoder
from datasets_impl.errors import MissingPackage, importable, importing, installed
from datasets_impl.files.paths import cache_dir
from datasets_impl.formats import FORMATS
from datasets_impl.formats.restart.writing import with_restarts
from datasets_impl.system.scheduler import client_of

BROKEN = (
    "raise RuntimeError('made for another version')",
    "raise OSError('libx.so: cannot open shared object file')",
    "import numpy.nothing_of_the_kind",
    "",  # half of an installation: what is needed of it is not there
)


def break_(package: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put one that cannot be imported in the place of a package."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(text)
    for name in {package, *(n for n in sys.modules if n.partition(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, name, sys)  # then the broken one goes again, too
        del sys.modules[name]
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_package_is_named_with_its_remedy(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numba", "h5py", "distributed", "platformdirs"):
        break_(name, text, tmp_path, monkeypatch)
    for name in ("restart.transcode", "hdf5"):
        monkeypatch.delitem(sys.modules, f"datasets_impl.formats.{name}", raising=False)
    monkeypatch.delenv("DATASET_STUDY_CACHE", raising=False)
    again = r"pip install --force-reinstall '<this folder>\[{}\]'"
    with pytest.raises(MissingPackage, match="'numba'.*" + again.format("stores")):
        with_restarts(b"\xff\xd8")
    with (
        pytest.raises(MissingPackage, match="'distributed'.*" + again.format("cluster")),
        client_of("tcp://nowhere:1"),
    ):
        pass
    if text:  # of the others something is only missed later
        with pytest.raises(MissingPackage, match="'h5py'.*" + again.format("stores")):
            FORMATS["hdf5"].load("Format")
        with pytest.raises(MissingPackage, match="'platformdirs'.*" + again.format("study")):
            cache_dir()


def test_a_broken_decoder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_("simplejpeg", BROKEN[1], tmp_path, monkeypatch)
    assert installed("simplejpeg") and not importable("simplejpeg")
    with pytest.raises(MissingPackage, match=r"libx\.so.*'<this folder>\[loaders\]'"):
        decoder("simplejpeg")
    assert fastest_decoder().name != "simplejpeg"


def test_watch_and_the_doctor_name_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_("scipy", BROKEN[0], tmp_path, monkeypatch)
    for name in ("loop.seen", "loop.told", "loop.place", "loop.epoch", "loop.watching",
                 "report.paired"):  # fmt: skip
        monkeypatch.delitem(sys.modules, f"datasets_impl.doctor.{name}", raising=False)
    said = r"watch needs the package 'scipy'.*RuntimeError: made for another.*\[doctor\]'"
    with pytest.raises(MissingPackage, match=said):
        from datasets_impl.doctor import watch  # noqa: F401


def test_what_a_broken_package_imports_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_("half", "import of_half", tmp_path, monkeypatch)
    with pytest.raises(MissingPackage, match="'of_half': pip install"), importing("It", "", "x"):
        importlib.import_module("half")


def test_errors_of_our_own_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), importing("It", "", "doctor"):
        raise ZeroDivisionError


@pytest.mark.parametrize("stand_in", [None, type(sys)("numba")])
def test_a_stand_in_is_no_package(stand_in: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", stand_in)
    assert not installed("numba") and not FORMATS["restart"].available
    assert not installed("no_such_parent.child")
