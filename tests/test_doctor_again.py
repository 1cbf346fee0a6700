"""Work that is done again is named with its line and sizes, and what mends it is offered."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader, default_collate

from datasets_impl.doctor.findings.again import (
    index_list,
    large_chunks,
    packed_archive,
    read_whole,
    unindexed,
    whole_storage,
)
from datasets_impl.doctor.findings.finding import Finding
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.repeated import same_work
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.probes import repeats as repeats_probe
from datasets_impl.doctor.probes.callees import callees
from datasets_impl.doctor.probes.loaders import Part, collate_of
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.repeats import repeats
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.probes.samples import fingerprint, size_of
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.examine import Ask, Heard, _run
from datasets_impl.doctor.remedies.clones import clones
from datasets_impl.doctor.remedies.collating import one_tensor_a_field, stacked_first
from datasets_impl.doctor.remedies.columns import columns
from datasets_impl.doctor.remedies.indexed import indexed
from datasets_impl.doctor.remedies.kept_results import (
    read_once,
    stored_results,
    unpacked,
)
from datasets_impl.doctor.remedies.mapped import Sliced, mapped
from datasets_impl.doctor.remedies.opened_once import opened_once
from datasets_impl.doctor.remedies.preloaded import preloaded
from datasets_impl.doctor.remedies.rechunked import rechunked
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Remedy, seeded
from datasets_impl.doctor.remedies.sliced_first import sliced_first
from datasets_impl.doctor.remedies.substitutes import substitutes
from datasets_impl.doctor.remedies.threads import threads
from datasets_impl.doctor.remedies.trials import may_change_of, tried
from datasets_impl.doctor.remedies.uneven import uneven
from tests import (
    doctor_again,
    doctor_crowded,
    doctor_decoded,
    doctor_habits,
    doctor_kinds,
    doctor_lookups,
    doctor_rewritten,
    doctor_sizes,
)

COST = 1e-3  # seconds of a sample, as if it had been measured
LONG = 60.0  # seconds: as long as the probe needs


def context(made: Any, folder: Path, **answers: Any) -> Context:
    """As after the probes. Which calls take the time is told, so that a busy machine counts for
    nothing: those of the marked line."""
    subject = subject_of("made", made)
    samples = [subject.read(index) for index in range(8)]
    subject.cost, subject.nbytes = COST, size_of(samples[0])
    subject.answers = {"look": {"bytes": subject.nbytes, "cost": COST}, **answers}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets_impl.doctor.probes.repeats.LEAST_SHARE", -1.0)
        if "repeats" not in subject.answers:
            subject.answers["repeats"] = repeats(subject, LONG)
    found = subject.answers["repeats"]
    marked = line_of(type(subject.dataset).__name__)
    for call in found["calls"]:
        call["share"] = 0.9 if call["line"] == marked else 0.01
    place = folder / "tried"
    place.mkdir()
    part = Part(subject, range(len(subject.dataset)))
    collate, _ = collate_of(subject, samples)
    drawn = may_change_of(subject)
    return Context(
        subject, part, samples, not drawn, drawn, None, COST, collate, {}, place
    )  # fmt: skip


def said_first(made: Any, folder: Path, **answers: Any) -> Finding:
    """Of a profile of it; a busy machine has time for few epochs that tell what collating takes."""
    profile = causes(Subject("", made, cost=COST), 1.0) | {"collating": 0.0}
    return findings(context(made, folder, causes=profile, **answers).seen)[0]


def with_share(cause: str) -> dict[str, Any]:
    return {"causes": {"total": COST, "causes": {cause: 0.9 * COST}}}


HOMES = (
    doctor_again, doctor_crowded, doctor_decoded, doctor_habits, doctor_kinds, doctor_lookups,
    doctor_rewritten, doctor_sizes,
)  # fmt: skip


def line_of(name: str) -> int:
    """Of the marked line of a class, 0 where none is."""
    homes = (home for home in HOMES if hasattr(home, name))
    lines, first = inspect.getsourcelines(getattr(next(homes, None), name, Changes))
    marked = (at for at, line in enumerate(lines, first) if "# the costly line" in line)
    return next(marked, 0)


Finds = Callable[[dict[str, Any]], Finding | None]
Makes = Callable[[Context], list[Remedy]]


@pytest.mark.parametrize(
    ("name", "finds", "says", "makes"),
    [
        ("Archive", read_whole, "frames.npz was read", (unpacked, read_once)),
        ("Clips", read_whole, "gives 1.2 MB for a sample of 2.0 kB", (mapped, read_once)),
        ("Slices", whole_storage, "reads 1.5 MB for 12.3 kB", (clones,)),
        ("Movie", large_chunks, "737.3 kB are read for 36.9 kB: a chunk is 20", (rechunked,)),
        ("Weather", large_chunks, "737.3 kB are read for 4.1 kB", (rechunked,)),
        ("Hits", index_list, "500 indices select what a sample takes", (sliced_first,)),
        ("Scenes", read_whole, "gives 1.1 MB for a sample of 7.5 kB", (unpacked, read_once)),
        ("Notes", same_work, "with 1 different arguments; notes.json was read", (read_once,)),
    ],
)
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_what_is_read_again_is_named_with_its_line_and_mended(
    name: str, finds: Finds, says: str, makes: tuple[Makes, ...], tmp_path: Path
) -> None:
    at = context(getattr(doctor_again, name)(tmp_path), tmp_path, **with_share("reading"))
    found = finds(at.seen)
    assert found is not None and says in found.evidence, at.seen["repeats"]
    assert findings(at.seen)[0].name == found.name
    assert found.places[0].startswith(f"doctor_again.py:{line_of(name)}  "), found.places
    for make in makes:
        (remedy,) = make(at)
        assert found.name in remedy.mends and remedy.lines
        same_samples(at, remedy)
        if name in CHUNKS:
            check_chunks(name, remedy, tmp_path / "tried" / "rechunked" / "array-0")


@pytest.mark.parametrize(
    ("name", "lines"),
    [("Archive", "in a .npz cannot be mapped"), ("Clips", "wavfile.read(path, mmap=True)")],
)
def test_how_a_part_is_read_is_said_of_its_kind_of_file(
    name: str, lines: str, tmp_path: Path
) -> None:
    at = context(getattr(doctor_again, name)(tmp_path), tmp_path, **with_share("reading"))
    found = read_whole(at.seen)
    assert found and lines in found.lines


def test_of_a_picture_no_array_is_mapped(tmp_path: Path) -> None:
    at = context(doctor_again.Scenes(tmp_path), tmp_path, **with_share("reading"))
    found = read_whole(at.seen)
    assert found and "np.load" not in found.lines


CHUNKS = {"Movie": (1, 96, 96), "Weather": (1, 32, 32)}  # of a sample


def check_chunks(name: str, remedy: Remedy, place: Path) -> None:
    assert f"{CHUNKS[name]}, 0, 40)" in remedy.lines, "all of it at once where it is small"
    made = h5py.File(place)["data"] if name == "Movie" else zarr.open_array(str(place), mode="r")
    assert made.chunks == CHUNKS[name]


def same_samples(at: Context, remedy: Remedy) -> None:
    """Twice: what was kept is given the second time."""
    for _ in range(2):
        for index in (0, 5, len(at.part) - 1):
            assert fingerprint(seeded(remedy.dataset, index)) == fingerprint(seeded(at.part, index))


@pytest.mark.parametrize(
    ("name", "make", "asked"),
    [
        ("Archive", unpacked, "NpzFile[]"),
        ("Archive", read_once, "NpzFile[]"),
        ("Notes", read_once, "json.load"),
        ("Clouds", stored_results, "np.loadtxt"),
        ("Spectra", stored_results, "scipy.signal.resample"),
        ("Clouds", substitutes, "np.loadtxt"),
        ("Polygons", substitutes, "skimage.draw.polygon2mask"),
        ("Copies", substitutes, "copy.deepcopy"),
    ],
)
def test_the_work_itself_is_not_done_again(
    name: str, make: Makes, asked: str, tmp_path: Path
) -> None:
    """What stands in for a function calls it no more once it has its results."""
    made = getattr(doctor_again, name)(tmp_path)
    called = [0]
    (callee,) = (one for one in callees(subject_of("", made)) if one.name == asked)
    original = callee.function

    def counting(*given: Any, **options: Any) -> Any:
        called[0] += 1
        return original(*given, **options)

    with all_replaced([(callee, counting)]):
        at = context(made, tmp_path, **with_share("python"))
        (remedy,) = make(at)
        for index in range(8):
            remedy.dataset[index]
        called[0] = 0
        for index in range(8):
            remedy.dataset[index]
        assert called[0] == 0
        at.part[0]
        assert called[0] > 0, "nothing stands in for it outside of the remedy"


@pytest.mark.parametrize(
    ("name", "opener"), [("Zipped", "zipfile.ZipFile"), ("Tarred", "tarfile.open")]
)
def test_a_file_is_opened_once(name: str, opener: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_again, name)(tmp_path), tmp_path, **with_share("reading"))
    (remedy,) = opened_once(at)
    assert f"{opener}(self.path)" in remedy.lines
    same_samples(at, remedy)


def test_a_store_that_is_opened_for_each_sample_is_named_and_mended(tmp_path: Path) -> None:
    made = DataLoader(doctor_again.Environment(tmp_path), num_workers=2)
    at = context(made, tmp_path, causes=causes(subject_of("", made), 2.0))
    found = findings(at.seen)[0]
    line = f"doctor_again.py:{line_of('Environment')}  store = lmdb.open("
    assert found.name == "reopens" and found.places[0].startswith(line)
    assert found.lines.endswith("self.file = lmdb.open(self.path, readonly=True, lock=False)")
    (remedy,) = opened_once(at)
    assert "reopens" in remedy.mends
    known = [fingerprint(seeded(at.part, index)) for index in range(8)]  # LMDB opens it once
    assert [fingerprint(seeded(remedy.dataset, index)) for index in range(8)] == known


def test_a_compressed_archive_is_told_with_its_sizes_and_those_of_a_member(tmp_path: Path) -> None:
    at = context(doctor_again.Packed(tmp_path), tmp_path, **with_share("decompressing"))
    found = packed_archive(at.seen)
    assert found is not None and "for a member of 36.9 kB: all.tar.gz, " in found.evidence
    line = f"doctor_again.py:{line_of('Packed')}  member = file.extractfile("
    assert found.places[0].startswith(line)
    names = [one.title for one in findings(at.seen) if one.name == "reads-too-much"]
    assert names == [found.title], "and told once"


@pytest.mark.parametrize("name", ["Tarred", "Zipped"])
def test_an_archive_whose_members_lie_as_they_are_is_none(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_again, name)(tmp_path), tmp_path, **with_share("reading"))
    assert packed_archive(at.seen) is None


def test_what_a_function_draws_is_not_frozen_by_a_remedy(tmp_path: Path) -> None:
    at = context(doctor_again.Thinned(tmp_path), tmp_path, **with_share("python"))
    assert "thinned" in at.callees, "else nothing would be stored anyway"
    assert at.may_change and stored_results(at) == []


def test_random_numbers_that_the_profiler_does_not_see_are_told(tmp_path: Path) -> None:
    made = doctor_again.Negatives(tmp_path)
    at = context(made, tmp_path, causes=causes(Subject("", made, cost=COST), 2.0))
    found = findings(at.seen)[0]
    assert found.name == "drawing random numbers", account(at.seen).parts
    assert found.places[0].startswith(f"doctor_again.py:{line_of('Negatives')}  drawn = ")


def test_a_query_without_an_index_is_named_and_mended(tmp_path: Path) -> None:
    at = context(doctor_again.Ward(tmp_path), tmp_path, **with_share("reading"))
    found = unindexed(at.seen)
    assert found is not None and "ward.db has no index on readings.bed, and 20,000 rows" in (
        found.evidence
    )
    before = (tmp_path / "ward.db").read_bytes()
    (remedy,) = indexed(at)
    assert remedy.lines == "CREATE INDEX by_bed ON readings (bed);"
    assert remedy.needs == {DISK: (tmp_path / "ward.db").stat().st_size}
    same_samples(at, remedy)
    assert (tmp_path / "ward.db").read_bytes() == before, "the user's file is as it was"


def test_rows_of_a_table_are_taken_from_arrays(tmp_path: Path) -> None:
    made = doctor_again.Table(tmp_path)
    at = context(made, tmp_path, **with_share("pandas look-ups"))
    (remedy,) = columns(at)
    assert "self.table[name].to_numpy()" in remedy.lines
    same_samples(at, remedy)
    made.__class__ = Averaged
    assert columns(at) == [], "code that asks more of a row is left as it is"


class Averaged(doctor_again.Table):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(float(self.table.iloc[index].mean()))


@pytest.mark.parametrize("name", ["Decoded", "MappedFrames", "Drawn", "Blank"])
def test_work_that_has_to_be_done_is_no_finding(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_again, name)(tmp_path), tmp_path)
    assert findings(at.seen) == []
    for make in (read_once, unpacked, mapped, clones, rechunked, indexed, columns, opened_once):
        assert make(at) == []


class Changes(doctor_again.Notes):
    """Writes to what it parsed: kept, the next sample would be another."""

    def __getitem__(self, index: int) -> torch.Tensor:
        import json

        with (self.folder / "notes.json").open() as file:
            notes = json.load(file)  # the costly line
        notes[str(index)].append(len(notes[str(index)]))
        return torch.tensor(notes[str(index)])


def test_what_the_code_changes_is_not_kept(tmp_path: Path) -> None:
    at = context(Changes(tmp_path), tmp_path)
    assert same_work(at.seen) is not None
    assert read_once(at) == []


@pytest.mark.parametrize(
    "work",
    [
        lambda wave: (wave.astype(np.float32) / 100)[3:9],
        lambda wave: (2 - wave * 3)[::7],
        lambda wave: -wave[5],
        lambda wave: np.abs(wave).max(),
        lambda wave: wave.mean() + len(wave),
        lambda wave: np.stack([wave, wave])[1, 2:4],
        lambda wave: (wave - wave.min())[4:6],
        lambda wave: (wave + wave)[1:3],
    ],
)
def test_work_on_an_array_that_waits_for_a_slice_gives_the_same(work: Any) -> None:
    wave = np.arange(-20, 80, dtype=np.int16)
    expected, found = work(wave), work(Sliced(wave))
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert np.asarray(found).dtype == np.asarray(expected).dtype


def test_many_small_tensors_become_one_for_each_field(tmp_path: Path) -> None:
    at = context(
        doctor_again.things(tmp_path),
        tmp_path,
        machine={"batch_tensors": 96},
        inside={"batch_size": 16},
        batches={"hand_over": 5 * COST},
        **with_share("python"),
    )
    assert findings(at.seen)[0].name == "many-tensors"
    (remedy,) = one_tensor_a_field(at)
    batch = remedy.collate(at.samples)
    assert batch["a"].shape == (8, 8) and batch["number"].tolist() == list(range(8))
    assert "many-tensors" in remedy.mends


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list")
def test_arrays_are_stacked_before_they_become_a_tensor(tmp_path: Path) -> None:
    answers = {"causes": {"total": 0.0, "causes": {}, "collating": COST}}
    at = context(doctor_again.collated(tmp_path), tmp_path, **answers)
    (remedy,) = stacked_first(at)
    given: list[Any] = []
    original = torch.tensor
    at.collate(at.samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tensor", lambda data, *a, **o: given.append(data) or original(data))
        assert torch.equal(remedy.collate(at.samples), default_collate(at.samples))
    assert isinstance(given[0], np.ndarray), "one array, and no list"


def test_uneven_samples_are_given_as_they_are_ready(tmp_path: Path) -> None:
    times = [0.001] * 17 + [0.03, 0.03, 0.04]
    items = {"first": times, "second": times, "indices": list(range(20))}
    made = doctor_again.uneven(tmp_path)
    offered = uneven(context(made, tmp_path, items=items))
    assert [one.changes.get("in_order") for one in offered] == [False, False]
    assert offered[1].divided == 4
    (tmp_path / "tried").rmdir()
    even = {"first": [0.001] * 20, "second": [0.001] * 20, "indices": list(range(20))}
    assert uneven(context(made, tmp_path, items=even)) == []


@pytest.mark.parametrize(
    ("cause", "offered"), [("waiting", 2), ("decompressing", 2), ("python", 0), ("parsing JSON", 0)]
)
def test_threads_are_for_what_waits_or_releases_the_lock(
    cause: str, offered: int, tmp_path: Path
) -> None:
    made = DataLoader(doctor_again.Arrays(tmp_path), batch_size=4, num_workers=2)
    at = context(made, tmp_path, repeats={"calls": [], "queries": []}, **with_share(cause))
    found = threads(at)
    assert [one.threads for one in found] == ["process", "trainer"][:offered]


def test_threads_do_not_share_what_is_open(tmp_path: Path) -> None:
    made = doctor_again.Arrays(tmp_path)
    (tmp_path / "rows").write_bytes(b"x")
    at = context(DataLoader(made), tmp_path, **with_share("waiting"))
    with (
        (tmp_path / "rows").open("rb") as made.file,  # type: ignore[attr-defined]
        pytest.raises(Inapplicable, match="would share what is open"),
    ):
        threads(at)


def test_a_trial_runs_threads_and_finds_the_same_batches(tmp_path: Path) -> None:
    """Side by side with the user's way, here and in a process of their own."""
    made = DataLoader(doctor_again.Uneven(tmp_path), batch_size=4, num_workers=1)
    subject = subject_of("", made)
    subject.cost, subject.answers = 2.5e-3, {
        "look": {"bytes": 1.0, "cost": COST}, "repeats": {"calls": [], "queries": []},
        **with_share("waiting"),
    }  # fmt: skip
    found = tried(subject, 6.0)
    assert not any("thread" in why for why in found["failed"])
    names = {one["name"] for one in found["remedies"]}
    assert names & {"threads-process", "threads-trainer"} or found["late"]


def test_only_workers_that_are_not_forked_need_preloading(tmp_path: Path) -> None:
    for method, count in (("spawn", 1), ("fork", 0)):
        made = DataLoader(
            doctor_again.Arrays(tmp_path), num_workers=2, multiprocessing_context=method
        )
        at = context(made, tmp_path)
        (tmp_path / "tried").rmdir()
        found = preloaded(at)
        assert len(found) == count
        assert all("tests.doctor_again" in one.lines for one in found)


def test_a_stand_in_is_for_calls_of_the_users_own_code(tmp_path: Path) -> None:
    """A library that calls the same function gets what it always got."""
    made = doctor_again.Clouds(tmp_path)
    names = {one.name for one in callees(Subject("", made))}
    assert {"np.loadtxt", "scipy.io.wavfile.read", "json.load"} <= names
    assert not {"self.prepare", "super", "torch.utils.data.DataLoader"} & names


class Prepares(doctor_again.Frames):
    """The first sample that is read takes long: it loads what all of them need."""

    ready = False

    def __getitem__(self, index: int) -> torch.Tensor:
        self.ready = self.ready or not time.sleep(0.3)
        return torch.from_numpy(self.rows[index])


def test_what_the_first_sample_prepares_is_no_cost_of_a_sample(tmp_path: Path) -> None:
    found = look(Subject("", Prepares(tmp_path)), 0.2)
    assert found["first"] >= 0.3 > found["cost"]
    assert found["seen"] > 1


TABLE = """
import pandas, torch
class Table:
    def __init__(self):
        self.table = pandas.DataFrame({name: range(40) for name in "abcdefgh"})
    def __len__(self): return 40
    def __getitem__(self, index):
        row = self.table.iloc[index]
        return torch.tensor([float(row[name]) for name in "abcdefgh"])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_what_was_answered_before_a_process_ended_is_known_to_the_next(tmp_path: Path) -> None:
    """A remedy for a cause is tried also where workers hung after the cause was found."""
    (tmp_path / "table.py").write_text(TABLE)
    known = {"look": {"cost": COST, "bytes": 200.0}, "repeats": {"calls": [], "queries": []}}
    heard = Heard(answers=known | with_share("pandas look-ups"))
    _run(f"{tmp_path}/table.py:Table", {}, [Ask("tried", 5.0)], 20.0, heard, lambda _: None)
    found = heard.answers["tried"]
    offered = [one["name"] for one in found["remedies"]]
    assert "columns" in offered or "Take the table's columns as arrays, once" in found["late"]


@pytest.mark.parametrize(
    ("decoding", "resizing", "first"),
    [(0.6, 0.3, "decoded-larger"), (0.3, 0.6, "resizing")],
)
def test_a_resize_that_costs_more_than_decoding_is_the_cause(
    decoding: float, resizing: float, first: str
) -> None:
    seen = {
        "pictures": {"decoded": [1024, 1024], "used": [224, 224]},
        "causes": {
            "total": 1e-2,
            "causes": {"decoding": decoding / 100, "resizing": resizing / 100},
        },
    }
    assert findings(seen)[0].name == first


def test_the_queue_for_a_processor_is_no_time_of_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a call would else seem to take little of it."""
    made = Subject("", doctor_again.Clouds(tmp_path))
    queued = iter(range(0, 100 * 10_000, 100))  # 100 s for each sample
    monkeypatch.setattr(repeats_probe, "queue_seconds", lambda: next(queued))
    (found,) = (one for one in repeats(made, LONG)["calls"] if one["name"] == "np.loadtxt")
    assert found["share"] == 1.0
