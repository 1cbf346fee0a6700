"""Another decoder is tried for pictures that OpenCV or torchvision decodes whole; and threads for
what several can do at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies.substitutes import substitutes
from datasets_impl.doctor.remedies.table import REMEDIES
from datasets_impl.doctor.remedies.threads import threads
from datasets_impl.doctor.report.diagnosis import diagnose
from tests import doctor_again, doctor_decoded
from tests.test_doctor_again import context, with_share

NOTHING: dict[str, Any] = {"calls": [], "queries": []}


def offered(name: str, folder: Path) -> Any:
    pytest.importorskip("simplejpeg")
    return context(getattr(doctor_decoded, name)(folder), folder)


@pytest.mark.parametrize("name", ["ByOpenCV", "InColour", "ByTorchvision", "FromBytes"])
def test_a_faster_decoder_gives_the_same_pictures(name: str, tmp_path: Path) -> None:
    at = offered(name, tmp_path)
    (found,) = substitutes(at)
    assert found.title == "Decode with simplejpeg" and found.mends == ("decoding",), "whole"
    with pytest.MonkeyPatch.context() as patch:
        used = list[str]()
        import simplejpeg

        original = simplejpeg.decode_jpeg
        patch.setattr(simplejpeg, "decode_jpeg", lambda *a: used.append(a[1]) or original(*a))
        for index in range(len(at.part)):
            own, made = at.part[index], found.dataset[index]
            assert made.shape == own.shape and made.dtype == own.dtype
            assert (made.int() - own.int()).abs().max() <= 2
        assert used and used[0] in found.lines


@pytest.mark.parametrize("name", ["Turned", "Drawings", "Grey", "AsGrey"])
def test_other_pictures_are_left_to_their_library(name: str, tmp_path: Path) -> None:
    """Nor is anything offered that would do nothing."""
    assert substitutes(offered(name, tmp_path)) == []


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize(
    ("cause", "mends"), [("decoding", True), ("resizing", True), ("waiting", False)]
)
def test_threads_are_tried_for_a_dataset_without_a_loader(
    bare: bool, cause: str, mends: bool, tmp_path: Path
) -> None:
    rows = doctor_again.Arrays(tmp_path)
    at = context(rows if bare else DataLoader(rows), tmp_path, repeats=NOTHING, **with_share(cause))
    found = threads(at)
    assert [one.threads for one in found] == ["process", "trainer"]
    assert all(("decoding" in one.mends) and (cause in one.mends) for one in found)
    assert all(("waiting" in one.mends) is not mends for one in found)


@pytest.mark.parametrize("cause", ["python", "parsing JSON"])
def test_they_are_not_for_what_keeps_the_lock(cause: str, tmp_path: Path) -> None:
    rows = doctor_again.Arrays(tmp_path)
    assert threads(context(rows, tmp_path, repeats=NOTHING, **with_share(cause))) == []


def test_threads_are_named_as_what_mends_decoding(tmp_path: Path) -> None:
    rows = doctor_again.Arrays(tmp_path)
    offers = threads(context(rows, tmp_path, repeats=NOTHING, **with_share("decoding")))
    tried = [
        {"name": one.name, "title": one.title, "lines": one.lines, "claim": "", "cost": "",
         "caution": "", "once_seconds": 0.0, "needs": {}, "workers": 0, "mends": list(one.mends),
         "beside": [200.0, 201.0, 202.0], "blocks": [100.0, 101.0, 102.0]}
        for one in offers
    ]  # fmt: skip
    found = diagnose("x", Heard({
        "look": {"type": "Rows", "length": 9, "cost": 2e-4}, **with_share("decoding"),
        "tried": {"own": [200.0], "samples": 9, "batch": 3, "remedies": tried},
    }))  # fmt: skip
    assert found.verdict.startswith("Decoding takes the time")
    assert f"What mends it: {offers[0].title}" in found.verdict


def test_decoders_are_tried_before_threads() -> None:
    names = [one.__name__ for one in REMEDIES]
    assert names.index("another_decoder") < names.index("threads")
