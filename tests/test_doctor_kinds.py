"""What pads, grows arrays, connects, hashes or goes through all there is for each sample is named
with its line, and what a colleague would advise is tried; what looks alike is left alone."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datasets_impl.doctor.findings.empty import not_finite
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.mechanisms import connects, reopens
from datasets_impl.doctor.findings.repeated import done_twice, same_work
from datasets_impl.doctor.findings.searching import all_for_one, scattered, searches_list
from datasets_impl.doctor.findings.sizes import padded
from datasets_impl.doctor.probes.causes import cause_of
from datasets_impl.doctor.probes.items import items
from datasets_impl.doctor.probes.loaders import Part, opened
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.machine import machine
from datasets_impl.doctor.probes.padding import used_of
from datasets_impl.doctor.probes.preparing import attributes
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.statements import grown_at
from datasets_impl.doctor.probes.steps import steps
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.probes.whole import gone_through
from datasets_impl.doctor.remedies.hashed import hashed
from datasets_impl.doctor.remedies.kept_results import read_once
from datasets_impl.doctor.remedies.once_a_sample import once_a_sample
from datasets_impl.doctor.remedies.opened_once import opened_once
from datasets_impl.doctor.remedies.rechunked import rechunked
from datasets_impl.doctor.remedies.turned import turned
from datasets_impl.doctor.remedies.unpadded import unpadded
from tests import doctor_kinds
from tests.test_doctor_again import COST, context, line_of, said_first, same_samples, with_share

PYTHON = with_share("python")


WORKERS = {"settings": {"num_workers": 2}}


def line(name: str) -> str:
    return f"doctor_kinds.py:{line_of(name)}  "


def marked(text: str) -> int:
    lines = inspect.getsource(doctor_kinds).splitlines()
    return next(at for at, one in enumerate(lines, 1) if one.endswith(f"# {text}"))


def looked_at(made: Any) -> dict[str, Any]:
    return look(subject_of("made", made), 0.5)


@pytest.mark.parametrize("name", ["Padded", "PaddedBefore"])
def test_padding_is_named_and_cut_to_what_is_needed(name: str, tmp_path: Path) -> None:
    made = getattr(doctor_kinds, name)(tmp_path)
    at = context(made, tmp_path, look=looked_at(made) | {"turn": 0.0}, **PYTHON)
    found = findings(at.seen)[0]
    assert found.name == "padding" and "fills more than 60 of it" in found.evidence
    assert "2,000 long" in found.evidence and "pad_sequence" in found.lines
    (remedy,) = unpadded(at)
    assert found.name in remedy.mends
    for place in range(10):
        (own, length), (cut, same) = at.part[place], remedy.dataset[place]
        held = own[:60] if made.at_end else own[-60:]
        assert length == same and torch.equal(cut, held), "nothing is lost of it"


@pytest.mark.parametrize("name", ["NearlyFull", "AsLong", "OneHot", "Stacked"])
def test_what_is_filled_is_no_padding(name: str, tmp_path: Path) -> None:
    made = getattr(doctor_kinds, name)(tmp_path)
    at = context(made, tmp_path, look=looked_at(made), **PYTHON)
    assert padded(at.seen) is None and unpadded(at) == []


@pytest.mark.parametrize("name", ["filled_up", "filled_up_with_lengths"])
def test_batches_that_the_collate_function_fills_up_are_named(name: str, tmp_path: Path) -> None:
    made = doctor_kinds.filled(tmp_path, getattr(doctor_kinds, name))
    facts = machine(subject_of("made", made), 0.3)
    at = context(made, tmp_path, machine=facts, **with_share("collating"))
    found = findings(at.seen)[0]
    assert found.name == "padding" and "2,000 long" in found.evidence
    assert "longest of 4 samples takes" in found.evidence and "pad_sequence" in found.lines
    (remedy,) = unpadded(at)
    longest = max(len(one) for one in at.samples)
    own, cut = at.collate(at.samples), remedy.collate(at.samples)
    if name == "filled_up_with_lengths":
        assert torch.equal(own[1], cut[1])
        own, cut = own[0], cut[0]
    assert torch.equal(own[:, :longest], cut) and cut.is_contiguous()
    quick = at.seen | {"causes": {"total": COST, "causes": {"python": 0.9 * COST}}}
    assert padded(quick) is None, "moving them takes little time"


def test_batches_that_are_padded_to_their_longest_are_no_padding(tmp_path: Path) -> None:
    made = doctor_kinds.as_long(tmp_path)
    facts = machine(subject_of("made", made), 0.3)
    at = context(made, tmp_path, machine=facts, **with_share("collating"))
    assert facts["batch_padding"] == [] and padded(at.seen) is None and unpadded(at) == []


@pytest.mark.parametrize(
    ("values", "end", "used"),
    [
        ([3, 4, 0, 0, 0], "end", 2), ([0, 0, 3, 4], "start", 2), ([3, 4, -100], "end", 2),
        ([0, 0, 0], "end", 0), ([0, 0, 0, 7, 0], "end", 0), ([1, 2, 3], "end", 2),
    ],
)  # fmt: skip
def test_what_an_array_uses_of_its_length(values: list[int], end: str, used: int) -> None:
    assert used_of(np.array(values), 0, end) == used
    assert used_of(np.stack([values, values]), 1, end) == used


@pytest.mark.parametrize("name", ["Stacked", "Joined"])
def test_an_array_that_grows_in_a_loop_is_named(name: str, tmp_path: Path) -> None:
    first = said_first(getattr(doctor_kinds, name)(tmp_path), tmp_path)
    assert first.name == "growing arrays" and "append to a list" in first.remedy
    number = line_of(name) or marked("grows")
    assert first.places[0].startswith(f"doctor_kinds.py:{number}  ")


def test_what_is_joined_once_does_not_grow() -> None:
    lines, first = inspect.getsourcelines(doctor_kinds.JoinedOnce)
    grown = grown_at(doctor_kinds.__file__)
    assert not grown & set(range(first, first + len(lines)))
    assert {line_of("Stacked"), marked("grows")} <= grown


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Verified", "hashing"), ("AsText", "decoding base64"), ("InOrder", "sorting"),
        ("ByProgram", "running another program"),
        ("ArrowRows", "making Python objects of Arrow data"),
    ],
)  # fmt: skip
def test_the_kind_of_work_is_told(name: str, kind: str, tmp_path: Path) -> None:
    made = getattr(doctor_kinds, name)(tmp_path)
    found = causes(Subject("", made, cost=COST), 1.0)
    most = max(found["causes"], key=lambda one: found["causes"][one])
    assert most == kind, found["causes"]
    costly = max(found["lines"], key=lambda one: sum(one["causes"].values()))
    assert costly["line"] == line_of(name)


def test_a_pool_that_is_made_for_each_sample_starts_threads(tmp_path: Path) -> None:
    """On a busy machine most of it is waiting for these to begin."""
    found = causes(Subject("", doctor_kinds.PoolAnew(tmp_path), cost=COST), 1.0)
    assert found["causes"]["starting threads"] > 0.15 * found["total"], found["causes"]
    lock = "<method 'acquire' of '_thread.lock' objects>"
    assert cause_of(lock, "starting threads") == "starting threads"
    assert cause_of(lock) == "waiting"


def test_a_pool_that_stays_starts_nothing(tmp_path: Path) -> None:
    found = causes(Subject("", doctor_kinds.PoolKept(tmp_path), cost=COST), 1.0)
    assert found["causes"].get("starting threads", 0.0) < 0.1 * found["total"], found["causes"]


def test_who_waits_for_another_program_does_not_wait_for_anything_else() -> None:
    poll, read = "<method 'poll' of 'select.poll' objects>", "<method 'read' of '_io.FileIO'>"
    for name in (poll, read):
        assert cause_of(name, "running another program") == "running another program"
    assert cause_of(poll) == cause_of(poll, "parsing JSON") == "waiting"
    assert cause_of(read, "parsing JSON") == "reading"


def test_connections_of_items_are_counted(tmp_path: Path) -> None:
    made = doctor_kinds.Asked(tmp_path)
    found = items(Subject("", made), 0.3)
    assert found["connected"] == pytest.approx(1.0)
    told = {"file": doctor_kinds.__file__, "line": line_of("Asked"), "function": "", "code": "",
            "causes": {"waiting": COST}, "times": 1.0}  # fmt: skip
    waits = {"total": COST, "causes": {"waiting": COST}, "lines": [told]}
    seen = {"items": found, "causes": waits, "look": {"cost": COST, "bytes": 64}}
    first = findings(seen)[0]
    assert first.name == "connects" and first.places[0].startswith(line("Asked")[:-2])
    assert connects(seen | {"items": found | {"connected": 0.01}}) is None


def test_an_object_that_holds_nothing_is_made_once(tmp_path: Path) -> None:
    at = context(doctor_kinds.ClientAnew(tmp_path), tmp_path, **PYTHON)
    found = same_work(at.seen)
    assert found is not None and found.title.startswith("An object is made anew")
    assert found.places[0].startswith(line("ClientAnew"))
    assert "self.made = client_of(...)" in found.lines and "each worker" in found.remedy
    (remedy,) = read_once(at)
    assert remedy.title == "Make it once" and found.name in remedy.mends
    same_samples(at, remedy)


def test_what_a_class_is_asked_for_is_made_once(tmp_path: Path) -> None:
    own = vars(doctor_kinds.Vocabulary)["of"]
    at = context(doctor_kinds.LoadsVocabulary(tmp_path), tmp_path, **PYTHON)
    found = same_work(at.seen)
    assert found is not None and "Vocabulary.of was" in found.evidence
    assert found.places[0].startswith(line("LoadsVocabulary"))
    (remedy,) = read_once(at)
    same_samples(at, remedy)
    assert vars(doctor_kinds.Vocabulary)["of"] is own, "the user's own is in its place again"


def test_an_object_that_is_kept_is_left(tmp_path: Path) -> None:
    at = context(doctor_kinds.ClientOnce(tmp_path), tmp_path, **PYTHON)
    assert same_work(at.seen) is None and read_once(at) == []


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_what_a_sample_does_twice_is_done_once(tmp_path: Path) -> None:
    at = context(doctor_kinds.ReadTwice(tmp_path), tmp_path, **PYTHON)
    found = done_twice(at.seen)
    assert found is not None and "2.0 times for a sample" in found.evidence
    assert findings(at.seen)[0].name == found.name
    assert found.places[0].startswith(line("ReadTwice"))
    (remedy,) = once_a_sample(at)
    assert found.name in remedy.mends
    same_samples(at, remedy)


def test_two_that_are_mixed_are_no_work_done_twice(tmp_path: Path) -> None:
    at = context(doctor_kinds.ReadTwo(tmp_path), tmp_path, **PYTHON)
    assert done_twice(at.seen) is None and once_a_sample(at) == []


def costly(name: str, made: Any, folder: Path, cause: str = "python") -> Any:
    """As after a profile that found the marked line to take the time."""
    told = {"file": doctor_kinds.__file__, "line": line_of(name), "function": "", "code": "x",
            "causes": {cause: COST / 20}, "times": 1.0}  # fmt: skip
    profile = {"total": COST / 20, "causes": {cause: COST / 20}, "lines": [told]}
    return context(made, folder, causes=profile)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SameLabel", "self.labels holds 4,000 elements"),
        ("Scaled", "self.points holds 1,024,000 bytes"),
        ("InLoop", "self.labels holds 4,000 elements"),
    ],
)
def test_what_goes_through_all_the_data_is_named(name: str, says: str, tmp_path: Path) -> None:
    at = costly(name, getattr(doctor_kinds, name)(tmp_path), tmp_path)
    found = all_for_one(at.seen)
    assert found is not None and says in found.evidence
    assert findings(at.seen)[0].name == found.name
    assert found.places[0].startswith(line(name))


def test_what_is_the_same_for_all_samples_is_not_all_the_data(tmp_path: Path) -> None:
    made = doctor_kinds.OwnPart(tmp_path)
    assert all_for_one(costly("OwnPart", made, tmp_path).seen) is None
    names = {one["name"] for one in gone_through(subject_of("x", made)) if
             one["first"] == line_of("OwnPart")}  # fmt: skip
    assert names == set()


def test_many_small_chunks_are_named_and_written_again(tmp_path: Path) -> None:
    at = context(doctor_kinds.Tiles(tmp_path), tmp_path, **with_share("reading"))
    first = findings(at.seen)[0]
    assert first.name == "small-chunks" and "144 chunks of 1 x 8 x 8" in first.evidence
    assert first.places[0].startswith(line("Tiles")) and first.lines == "chunks=(1, 96, 96,)"
    (remedy,) = rechunked(at)
    assert first.name in remedy.mends
    same_samples(at, remedy)


def test_samples_of_nan_are_named(tmp_path: Path) -> None:
    seen = {"look": looked_at(doctor_kinds.SomeNaN(tmp_path))}
    found = not_finite(seen)
    assert found is not None and "5 of 40" in found.evidence and "sample 0, 8, 16" in found.evidence


def test_values_that_are_missing_here_and_there_are_left(tmp_path: Path) -> None:
    assert not_finite({"look": looked_at(doctor_kinds.Missing(tmp_path))}) is None


def test_a_file_that_is_opened_in_no_time_may_be_opened_again() -> None:
    """As one that is mapped for each sample."""
    seen = {
        "items": {"opened": [["a.bin", 40]], "first": [COST] * 40, "connected": 0.0},
        "causes": {"total": COST, "causes": {"opening": COST / 4, "python": COST / 4}},
    }
    quick = seen | {"look": {"turn": COST / 1000}}
    assert reopens(seen) is not None and reopens(quick) is None
    once = {"name": "opened-once", "beside": [4.0], "blocks": [1.0], "lines": "connect(path)"}
    measured = reopens(quick | {"tried": {"remedies": [once]}})  # it is read when it is first asked
    assert measured is not None and "4.0 times as fast" in measured.evidence
    assert measured.lines == "connect(path)"


def test_databases_that_samples_connect_to_are_files_that_they_open(tmp_path: Path) -> None:
    connects_anew = Subject("", doctor_kinds.WardAnew(tmp_path), cost=COST)
    found = items(connects_anew, 0.3)
    assert found["opened"][0] == (str(tmp_path / "ward.db"), len(found["first"]))


def test_what_is_made_large_before_its_part_is_taken_is_told(tmp_path: Path) -> None:
    found = steps(subject_of("made", doctor_kinds.MadeLarge(tmp_path)), time.perf_counter() + 60)
    assert found["gives"] == 400 * 400 and found["part"]["line"] == marked("the part")
    assert [one["line"] for one in found["large"]] == [line_of("MadeLarge")]


def test_a_line_that_is_looked_for_from_the_start_is_read_too_much(tmp_path: Path) -> None:
    made = doctor_kinds.Line(tmp_path)
    read = items(Subject("", made, cost=COST), 0.3)
    first = said_first(made, tmp_path, items=read)
    assert first.name == "reads-too-much" and "gives 96 bytes" in first.evidence
    assert any(one.startswith(line("Line")) for one in first.places), first.places


@pytest.mark.parametrize(("name", "cause"), [("Gzipped", "decompressing"), ("AsItIs", "reading")])
def test_what_hdf5_unpacks_is_told_from_what_it_reads(
    name: str, cause: str, tmp_path: Path
) -> None:
    at = context(getattr(doctor_kinds, name)(tmp_path), tmp_path, **with_share("reading"))
    for call in at.seen["repeats"]["calls"]:
        call["share"] = 0.9 if call["name"] == "Dataset[]" else 0.01
    first = findings(at.seen)[0]
    assert first.name == cause, [one.name for one in findings(at.seen)]


def taken_by(name: str, cause: str = "converting") -> dict[str, Any]:
    """As if the costly line took most of the time."""
    told = {"file": doctor_kinds.__file__, "line": line_of(name), "function": "", "code": "",
            "causes": {cause: 0.9 * COST}, "times": 1.0}  # fmt: skip
    return {"causes": {"total": COST, "causes": {cause: 0.9 * COST}, "lines": [told]}}


@pytest.mark.parametrize(
    ("name", "places"),
    [("Across", "4 bytes at each of 20,000"), ("AcrossTensor", "40 bytes at each of 4,000")],
)
def test_what_is_picked_out_of_all_rows_is_named_and_turned(
    name: str, places: str, tmp_path: Path
) -> None:
    at = context(getattr(doctor_kinds, name)(tmp_path), tmp_path, **taken_by(name))
    first = findings(at.seen)[0]
    assert first.name == "scattered" and places in first.evidence
    assert "self.voxels[index]  # in place of self.voxels[:, index]" in first.lines
    assert first.places[0].startswith(line(name))
    (remedy,) = turned(at)
    assert first.name in remedy.mends
    same_samples(at, remedy)


@pytest.mark.parametrize("name", ["Along", "AcrossInOrder"])
def test_what_lies_together_is_not_scattered(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_kinds, name)(tmp_path), tmp_path, **taken_by(name))
    assert scattered(at.seen) is None and turned(at) == []


@pytest.mark.parametrize(
    ("name", "cause"), [("NumberByNumber", "python"), ("PartByPart", "reading")]
)
def test_reading_number_by_number_is_a_loop(name: str, cause: str, tmp_path: Path) -> None:
    found = causes(Subject("", getattr(doctor_kinds, name)(tmp_path), cost=COST), 1.0)["causes"]
    other = {"python": "reading", "reading": "python"}[cause]
    assert found[cause] > 3 * found.get(other, 0.0), found


def test_an_archive_of_arrays_is_opened_once_and_an_array_is_not(tmp_path: Path) -> None:
    answers = with_share("reading")
    at = context(doctor_kinds.ArchiveAnew(tmp_path), tmp_path, **answers)
    (remedy,) = opened_once(at)
    assert "np.load(self.path)" in remedy.lines or "numpy.load(self.path)" in remedy.lines
    same_samples(at, remedy)
    (tmp_path / "tried").rmdir()
    assert opened_once(context(doctor_kinds.RowFiles(tmp_path), tmp_path, **answers)) == []


def test_what_is_read_to_open_a_file_is_told_as_that(tmp_path: Path) -> None:
    once = {"name": "opened-once", "beside": [8.0], "blocks": [1.0], "lines": "open(path)"}
    found = {"opened": [("rows.zip", 20)], "first": [COST] * 20, "bytes_asked": 4e6, "opens": 1.0}
    seen = {"items": found, "look": {"cost": COST, "bytes": 64.0}, **with_share("reading")}
    told = [one.name for one in findings(seen)]
    assert told[0] == "reads-too-much"
    told = [one.name for one in findings(seen | {"tried": {"remedies": [once]}})]
    assert told[:2] == ["reopens", "reads-too-much"]


@pytest.mark.usefixtures("forked_workers")
def test_a_store_that_the_doctor_opened_opens_in_workers_too(tmp_path: Path) -> None:
    made = doctor_kinds.StoreLate(tmp_path)
    subject = subject_of("made", DataLoader(made, batch_size=None, num_workers=2))
    subject.attributes, subject.answers["inside"] = attributes(made), {"handles": []}
    assert int(subject.read(7)) == 7
    with opened(subject, Part(subject, [3, 5]), 2, None, batch_size=None) as loader:
        assert [int(one) for one in loader] == [3, 5]
    assert int(subject.read(9)) == 9, "the doctor's own stays open"


@pytest.mark.parametrize(("name", "told"), [("JoinedAnew", True), ("OwnEpisode", False)])
def test_arrays_of_a_list_that_are_joined_are_all_of_the_data(
    name: str, told: bool, tmp_path: Path
) -> None:
    at = context(getattr(doctor_kinds, name)(tmp_path), tmp_path, **taken_by(name))
    found = all_for_one(at.seen)
    assert (found is not None) == told
    assert found is None or "self.episodes holds 1,474,560 bytes" in found.evidence


@pytest.mark.parametrize(("name", "told"), [("SeenByUsers", True), ("SeenBySets", False)])
def test_a_list_of_lists_that_are_searched_is_named(name: str, told: bool, tmp_path: Path) -> None:
    answers = taken_by(name, "python")
    answers["causes"]["lines"][0]["times"] = 30.0
    at = context(getattr(doctor_kinds, name)(tmp_path), tmp_path, **answers)
    for one in at.seen["repeats"]["searched"]:
        one["seconds"] = COST / 30  # as if it had been measured
    found = searches_list(at.seen)
    assert (found is not None) == told and hashed(at) == []
    assert found is None or (
        "self.seen[index] holds 4,000" in found.evidence
        and "self.seen_sets = [set(one) for one in self.seen]" in found.lines
    )
