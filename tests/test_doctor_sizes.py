"""Samples that are larger than what they say: named with how much smaller they could be, and
tried."""

from __future__ import annotations

import copy
import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.sizes import computes_too_much, wide_values
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.samples import leaves, signature
from datasets_impl.doctor.probes.steps import steps
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.remedies.cropped_first import cropped_first
from datasets_impl.doctor.remedies.kept_results import stored_results
from datasets_impl.doctor.remedies.narrowed import narrowed
from datasets_impl.doctor.remedies.substitutes import substitutes
from tests import doctor_sizes
from tests.test_doctor_again import COST, context, with_share

MOVED = {"total": COST / 4, "causes": {"python": COST / 4}, "collating": COST}
LITTLE = {"total": COST, "causes": {"python": COST}, "collating": COST / 10}
NOTHING: dict[str, Any] = {"calls": [], "queries": [], "searched": []}  # is done again
BRIEF = 0.4  # seconds, in which two samples at least are looked at
seen_of = dict[str, dict[str, Any]]()  # by the name of a dataset, which is looked at once


def looked_at(name: str, folder: Path, moved: dict[str, Any]) -> Any:
    made = getattr(doctor_sizes, name)(folder)
    if name not in seen_of:
        seen_of[name] = look(subject_of("made", made), BRIEF) | {"turn": 0.0}
    seen = copy.deepcopy(seen_of[name])
    return context(made, folder, look=seen, causes=moved, repeats=NOTHING)


@pytest.mark.parametrize(
    ("name", "leaf", "says", "title"),
    [
        ("Planes", "['tissue']", "one of 12 planes is 1 at each place", "Give class numbers"),
        ("LastAxis", "[0]", "its number in uint8 takes 25.6 kB", "Give class numbers"),
        ("WholeFloats", "[0]", "whole numbers, which in uint8 take 480.0 kB", "Give uint8"),
        ("Masks", ".mask", "whole numbers, which in bool take 360.0 kB", "Give bool"),
        ("LongMaps", "[0]", "whole numbers, which in int16 take 320.0 kB", "Give int16"),
    ],
)
def test_what_fewer_bytes_would_say_is_named_and_tried(
    name: str, leaf: str, says: str, title: str, tmp_path: Path
) -> None:
    at = looked_at(name, tmp_path, MOVED)
    first = findings(at.seen)[0]
    assert first.name == "wide-values" and first.evidence.startswith(f"{leaf} is ")
    assert says in first.evidence and "take 80% of the time" in first.evidence
    assert [one.name for one in findings(at.seen)].count("float64") == 0
    (remedy,) = narrowed(at)
    assert remedy.title == title and first.name in remedy.mends and remedy.lines == first.lines
    large, small = at.samples[3], remedy.dataset[3]
    assert type(small) is type(large)
    for own, made in zip(leaves(large), leaves(small), strict=True):
        assert type(own.value) is type(made.value)
        values = own.array
        if own.path == leaf and "class" in title:
            values = own.array.argmax(own.array.shape.index(doctor_sizes.TISSUES))
        assert np.array_equal(values, made.array)
    assert small is not large and size(large, leaf) >= 4 * size(small, leaf)


def size(sample: Any, path: str) -> int:
    return next(one.nbytes for one in leaves(sample) if one.path == path)


def test_the_lines_run_and_give_what_was_there(tmp_path: Path) -> None:
    at = looked_at("Planes", tmp_path, MOVED)
    (remedy,) = narrowed(at)
    batch = torch.stack([at.part[place]["tissue"] for place in range(3)])
    known: dict[str, Any] = {"classes": batch.argmax(1), "F": torch.nn.functional}
    known |= {"torch": torch, "device": "cpu"}
    exec(remedy.lines, known)
    assert torch.equal(known["planes"], batch) and known["planes"].dtype is batch.dtype


@pytest.mark.parametrize("name", ["Normalised", "Embedded", "SmallLabels", "Blank", "OnceWhole"])
def test_samples_that_need_their_bytes_are_left(name: str, tmp_path: Path) -> None:
    at = looked_at(name, tmp_path, MOVED)
    assert wide_values(at.seen) is None and narrowed(at) == []


@pytest.mark.parametrize("name", ["Planes", "LongMaps"])
def test_where_moving_takes_little_nothing_is_said(name: str, tmp_path: Path) -> None:
    at = looked_at(name, tmp_path, LITTLE)
    assert wide_values(at.seen) is None and narrowed(at) == []


def test_beside_a_longer_cause_it_comes_later(tmp_path: Path) -> None:
    at = looked_at("Planes", tmp_path, LITTLE | {"collating": COST / 2})
    assert wide_values(at.seen).rank < 2.6  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["Enlarged", "InFunctional", "PlainFiles"])
def test_what_would_be_no_quicker_to_read_is_not_stored(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_sizes, name)(tmp_path), tmp_path, **with_share("python"))
    calls = [one for one in at.seen["repeats"]["calls"] if one["share"] == 0.9]
    assert calls and all(one["gives"] > 0 and one["arrays"] for one in calls)
    assert stored_results(at) == []


def marked(text: str) -> int:
    """The number of the line that ends with this comment."""
    lines = inspect.getsource(doctor_sizes).splitlines()
    (found,) = (number for number, line in enumerate(lines, 1) if line.endswith(f"# the {text}"))
    return found


def stepped(name: str, folder: Path, costly: str) -> Any:
    """As after the probes, with the time in this line."""
    made = getattr(doctor_sizes, name)(folder)
    found = steps(subject_of("made", made), time.perf_counter() + 60)
    for one in found.get("large", []):  # of a library, timed by themselves
        one["seconds"] = 0.5 * found["whole"] if one["seconds"] else 0.0
    line = {"file": doctor_sizes.__file__, "line": marked(costly), "function": "", "code": costly,
            "causes": {"python": 0.8 * COST}, "times": 1.0}  # fmt: skip
    profile = {"total": COST, "causes": {"python": COST}, "lines": [line]}
    return context(made, folder, causes=profile, repeats=NOTHING | {"steps": found})


@pytest.mark.parametrize(
    ("name", "costly", "taker", "order"),
    [("TiledLast", "contrast", "tile", "dataset.steps = [Tile, Contrast, Turned]"),
     ("InOneFunction", "contrast", "copy", ""),
     ("Composed", "library", "",
      "dataset.transform.transforms = [RandomCrop, GaussianBlur, ToDtype]")],
)  # fmt: skip
def test_steps_on_far_more_than_the_sample_are_named_and_taken_last(
    name: str, costly: str, taker: str, order: str, tmp_path: Path
) -> None:
    at = stepped(name, tmp_path, costly)
    first = findings(at.seen)[0]
    assert first.name == "computes-too-much" and "39 times fewer" in first.evidence
    assert first.places[0].startswith(f"doctor_sizes.py:{marked(costly)}  ")
    if taker:
        assert first.places[-1].startswith(f"doctor_sizes.py:{marked(taker)}  ")
    else:
        assert "GaussianBlur" in first.evidence and "by RandomCrop" in first.evidence
    if not order:
        return
    (remedy,) = cropped_first(at)
    assert remedy.lines.startswith(order) and "computes-too-much" in remedy.mends
    assert signature(remedy.dataset[3]) == signature(at.part[3])
    found = steps(remedy.dataset.subject, time.perf_counter() + 60)  # type: ignore[attr-defined]
    assert found == {}, "nothing is done on the whole"
    assert steps(at.subject, time.perf_counter() + 60), "the user's own is as it was"


@pytest.mark.parametrize("name", ["TiledFirst", "DecodedLarge", "Spectra", "Normalised"])
def test_steps_on_what_the_sample_holds_are_left(name: str, tmp_path: Path) -> None:
    at = stepped(name, tmp_path, "contrast")
    assert computes_too_much(at.seen) is None and cropped_first(at) == []


def test_steps_that_take_little_are_left(tmp_path: Path) -> None:
    at = stepped("InOneFunction", tmp_path, "copy")
    assert computes_too_much(at.seen) is None


@pytest.mark.parametrize(("other", "named"), [(0.1, 1), (0.8, 0)])
def test_the_line_that_makes_it_is_named_where_no_other_could_be_it(
    other: float, named: int, tmp_path: Path
) -> None:
    lines = [{"file": "a.py", "line": number, "function": "", "code": "", "times": 1.0,
              "causes": {"python": part * COST}}
             for number, part in enumerate([1.0, other])]  # fmt: skip
    at = looked_at("Planes", tmp_path, MOVED | {"lines": lines})
    assert len(wide_values(at.seen).places) == named  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "count"), [("Thumbnails", 1), ("Drawings", 0)])
def test_only_jpeg_pictures_are_decoded_at_a_part_of_their_size(
    name: str, count: int, tmp_path: Path
) -> None:
    at = context(getattr(doctor_sizes, name)(tmp_path), tmp_path, **with_share("decoding"))
    made = substitutes(at)
    assert len(made) == count
    for one in made:
        assert "cv2.IMREAD_REDUCED_COLOR_8" in one.lines and "decoded-larger" in one.mends
