"""Habits that cost time are named with their line, and what a colleague would advise is tried:
numbers drawn at once, nothing written, a set for a list, smaller row groups, an array first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datasets_impl.doctor.findings.again import read_whole
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.searching import lines_of, searches_list
from datasets_impl.doctor.probes.callees import Callee, callees
from datasets_impl.doctor.probes.generators import StandIn, standing_in
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.samples import leaves, signature
from datasets_impl.doctor.probes.searching import homes_of, places_of, searched
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.remedies.collating import _stacking, arrays_first
from datasets_impl.doctor.remedies.drawn import drawn
from datasets_impl.doctor.remedies.hashed import HashedList, HashedTuple, hashed
from datasets_impl.doctor.remedies.kept_results import read_once
from datasets_impl.doctor.remedies.on_batch import held_transforms
from datasets_impl.doctor.remedies.row_groups import row_groups
from datasets_impl.doctor.remedies.unwritten import unwritten
from tests import doctor_again, doctor_habits
from tests.test_doctor_again import COST, context, line_of, same_samples, with_share

DRAWING = with_share("drawing random numbers")


def line(name: str) -> str:
    return f"doctor_habits.py:{line_of(name)}  "


@pytest.mark.parametrize("name", ["Noisy", "Fresh"])
def test_what_a_generator_draws_is_told(name: str, tmp_path: Path) -> None:
    """Its methods are written in C, and the profiler does not see them."""
    made = getattr(doctor_habits, name)(tmp_path)
    at = context(made, tmp_path, causes=causes(Subject("", made, cost=COST), 2.0))
    first = findings(at.seen)[0]
    assert first.name == "drawing random numbers" and first.places[0].startswith(line(name))
    if name == "Noisy":
        assert type(made.rng) is np.random.Generator, "it is its own again"


def test_to_the_code_it_is_a_generator() -> None:
    asked: list[str] = []
    own = np.random.default_rng(5)
    given = StandIn(own, lambda _, name, method: asked.append(name) or method)
    assert isinstance(given, np.random.Generator)
    assert given.random() == np.random.default_rng(5).random()
    assert given.integers(9, size=3).shape == (3,) and given.bit_generator is own.bit_generator
    assert asked == ["random", "integers"]


def test_libraries_still_know_the_kind_of_a_generator(tmp_path: Path) -> None:
    """They ask by `isinstance` while the user's code is given stand-ins."""
    subject = Subject("", doctor_habits.Fresh(tmp_path))
    own = np.random.RandomState(0)
    with all_replaced(standing_in(subject, lambda _, __, method: method)):
        assert isinstance(own, np.random.RandomState) and not isinstance(5, np.random.RandomState)
        made = np.random.RandomState(0)
        assert isinstance(made, np.random.RandomState) and made.rand() == own.rand()
    assert np.random.RandomState is type(own)


@pytest.mark.parametrize(
    ("name", "offered", "says"),
    [
        ("Noisy", "drawn-quicker", "dtype=np.float32"),
        ("Fresh", "drawn-quicker", "dtype=np.float32"),
        ("Dropped", "drawn-at-once", "one call before the loop"),
        ("Negatives", "drawn-quicker", "shuffle=False"),
    ],
)
def test_numbers_are_drawn_in_another_way(
    name: str, offered: str, says: str, tmp_path: Path
) -> None:
    home = doctor_habits if hasattr(doctor_habits, name) else doctor_again
    made = getattr(home, name)(tmp_path)
    at = context(made, tmp_path, **DRAWING)
    (remedy,) = drawn(at)
    assert remedy.name == offered and says in remedy.lines
    assert "drawing random numbers" in remedy.mends and "same distribution" in remedy.caution
    samples = [remedy.dataset[place] for place in range(4)]
    assert {signature(one) for one in samples} == {signature(at.part[0])}
    assert not torch.equal(samples[0], remedy.dataset[0]), "they are drawn anew"
    if name == "Noisy":
        noise = samples[0] - torch.from_numpy(made.rows[0])
        assert abs(float(noise.mean())) < 0.1 and float(noise.std()) == pytest.approx(1, abs=0.1)


def test_a_loop_asks_for_its_numbers_once(tmp_path: Path) -> None:
    made, asked = doctor_habits.Dropped(tmp_path), [0]
    original = np.random.randint

    def counting(*given: Any, **options: Any) -> Any:
        asked[0] += 1
        return original(*given, **options)

    with all_replaced([(Callee("", np.random, "randint"), counting)]):
        (remedy,) = drawn(context(made, tmp_path, **DRAWING))
        remedy.dataset[0]
        asked[0] = 0
        remedy.dataset[1]
    assert asked[0] < 10


def test_what_is_the_same_each_time_is_not_drawn_otherwise(tmp_path: Path) -> None:
    at = context(doctor_habits.Noisy(tmp_path), tmp_path, **DRAWING)
    at.same_each_time = True
    assert drawn(at) == []


@pytest.mark.parametrize("name", ["Logged", "KeepsLog"])
def test_what_is_written_is_left_out(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_habits, name)(tmp_path), tmp_path, **with_share("writing"))
    (remedy,) = unwritten(at)
    assert "writing" in remedy.mends
    same_samples(at, remedy)
    before = (tmp_path / doctor_habits.LOG).read_bytes()
    remedy.dataset[0]
    assert (tmp_path / doctor_habits.LOG).read_bytes() == before
    at.part[0]
    assert (tmp_path / doctor_habits.LOG).read_bytes() > before, "the user's own way writes again"


def test_what_is_read_again_is_written(tmp_path: Path) -> None:
    at = context(doctor_habits.ReadsItsOwn(tmp_path), tmp_path, **with_share("writing"))
    assert unwritten(at) == []


def searching(tmp_path: Path, seconds: float) -> Any:
    """As after a profile, and with the time of going through the list, so that a busy machine
    counts for nothing."""
    told = {"file": doctor_habits.__file__, "line": line_of("Split"), "function": "",
            "code": "asks", "causes": {"python": 0.9 * COST}, "times": 1.0}  # fmt: skip
    profile = {"total": COST, "causes": {"python": 0.9 * COST}, "lines": [told]}
    at = context(doctor_habits.Split(tmp_path), tmp_path, causes=profile)
    (found,) = (one for one in at.seen["repeats"]["searched"] if one["name"] == "self.train")
    found["seconds"] = seconds
    return at


def test_a_list_that_is_searched_is_named_and_a_set_tried(tmp_path: Path) -> None:
    at = searching(tmp_path, COST)
    found = findings(at.seen)[0]
    assert found.name == "searches-list" and "self.train holds 20,000 elements" in found.evidence
    assert found.places[0].startswith(line("Split")) and "10.0 times as fast" in found.evidence
    (remedy,) = hashed(at)
    assert remedy.lines.startswith("self.train_set = set(self.train)  # once")
    assert found.name in remedy.mends
    same_samples(at, remedy)


def test_a_list_that_is_searched_in_no_time_is_not_the_cause(tmp_path: Path) -> None:
    at = searching(tmp_path, COST / 100)
    assert searches_list(at.seen) is None and hashed(at) == []


def test_lists_of_a_module_and_of_what_the_dataset_holds_are_seen(tmp_path: Path) -> None:
    made = doctor_habits.Cleaned(tmp_path)
    found = {one["name"]: one["length"] for one in searched(subject_of("x", made))}
    assert found == {"RARE": 300, "self.vocabulary.words": 500}
    at = context(made, tmp_path)
    for name in found:
        places = list(places_of(homes_of(at.subject), "tests.doctor_habits", "Cleaned", name))
        assert [attribute for _, attribute, _ in places] == [name.rpartition(".")[2]]


@pytest.mark.parametrize("asked", ["whether", "where"])
def test_lines_leave_the_list_to_what_else_asks_it(asked: str, tmp_path: Path) -> None:
    made = doctor_habits.Cleaned(tmp_path)
    line = line_of("Cleaned") if asked == "where" else 1
    told = {"name": "self.vocabulary.words", "file": doctor_habits.__file__, "line": line}
    words = made.vocabulary.words = ("a", "b", "a")
    once, ask = lines_of(told).splitlines()
    exec(once, space := {"self": made})
    assert made.vocabulary.words is words, "in its order, and as often"
    for value, found in (("a", 0), ("b", 1)):
        space["value"] = value
        assert eval(ask, space) == (found if asked == "where" else True)


@pytest.mark.parametrize("kind", [HashedList, HashedTuple])
def test_a_list_with_a_table_is_the_same_list(kind: Callable[..., Any]) -> None:
    plain = ["b", "a", "c", "a"]
    made = kind(plain)
    assert list(made) == plain and made.index("a") == 1 and made.index("a", 2) == 3
    assert "c" in made and "d" not in made and made.count("a") == 2
    with pytest.raises(ValueError, match="'d' is not in it"):
        made.index("d")
    if kind is HashedList:
        made.append("d")
        assert "d" in made and made.index("d") == 4


def test_row_groups_are_named_and_written_again(tmp_path: Path) -> None:
    at = context(doctor_habits.RowGroups(tmp_path), tmp_path, **with_share("reading"))
    found = read_whole(at.seen)
    assert found is not None and found.title.startswith("Row groups are far larger")
    assert found.evidence.startswith("20,000 rows, ")
    assert "are read for a sample of 16 bytes" in found.evidence
    assert "40,000 rows lie in 2" in found.evidence
    assert found.places[0].startswith(line("RowGroups"))
    before = (tmp_path / "rows.parquet").read_bytes()
    (once,) = read_once(at)
    assert once.title.startswith("Read each row group once")
    assert row_groups(at) == [], "an object cannot be made once more"
    at.subject.make = lambda: doctor_habits.RowGroups(tmp_path)
    (remedy,) = row_groups(at)
    assert "row_group_size=" in remedy.lines
    for one in (once, remedy):
        assert found.name in one.mends
        same_samples(at, one)
    each = remedy.dataset.inner.subject.dataset.each  # type: ignore[attr-defined]
    assert 32 <= each < 5000 and f"row_group_size={each})" in remedy.lines
    assert (tmp_path / "rows.parquet").read_bytes() == before


def test_row_groups_that_the_code_counts_on_are_left(tmp_path: Path) -> None:
    at = context(doctor_habits.FixedGroups(tmp_path), tmp_path, **with_share("reading"))
    at.subject.make = lambda: doctor_habits.FixedGroups(tmp_path)
    assert row_groups(at) == []


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list")
def test_an_array_is_made_before_the_tensor(tmp_path: Path) -> None:
    at = context(doctor_habits.OfFile(tmp_path), tmp_path, **with_share("converting"))
    (remedy,) = arrays_first(at)
    same_samples(at, remedy)
    given, original = list[Any](), torch.tensor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tensor", lambda data, *a, **o: given.append(data) or original(data))
        arrays_first(at)[0].dataset[3]
    assert isinstance(given[-1], np.ndarray)
    (tmp_path / "tried").rmdir()
    at = context(doctor_again.Decoded(tmp_path), tmp_path, **with_share("converting"))
    assert arrays_first(at) == [], "there is nothing to change"


@pytest.mark.parametrize("kind", [None, torch.float64, torch.int64, torch.bfloat16])
def test_numbers_become_an_array_before_the_tensor(tmp_path: Path, kind: Any) -> None:
    dataset = doctor_habits.OfNumbers(tmp_path)
    dataset.kind = kind
    at = context(dataset, tmp_path, **with_share("converting"))
    made = arrays_first(at)
    if kind is torch.bfloat16:  # which NumPy has not
        assert made == []
        return
    same_samples(at, made[0])
    assert "np.array(numbers" in made[0].lines and "file[name]" not in made[0].lines


@pytest.mark.parametrize(
    "numbers",
    [[1, 2], [1, 2.5], [True, False], [2.5, 1], [[1], [2]], [2**40], [1e300], [float("nan")], []],
)
def test_an_array_of_numbers_is_as_pytorch_would_have_it(numbers: Any) -> None:
    used = set[str]()
    mine, theirs = _stacking(torch.tensor, used)(numbers), torch.tensor(numbers)
    assert mine.dtype == theirs.dtype and torch.equal(mine.nan_to_num(), theirs.nan_to_num())
    assert bool(used) == bool(numbers)


@pytest.mark.parametrize("numbers", [[[1.0], [2.0, 3.0]], ["a"], [2**70], [None], [1.0, "a"]])
def test_what_is_wrong_with_numbers_pytorch_says(numbers: Any) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)) as theirs:
        torch.tensor(numbers)
    with pytest.raises(theirs.type) as mine:
        _stacking(torch.tensor, set())(numbers)
    assert str(mine.value) == str(theirs.value)


def test_a_function_that_was_imported_by_its_name_is_known() -> None:
    """`from json import loads` names what `json.loads` does."""
    import json

    import scipy.signal
    import skimage.draw

    from tests import doctor_elsewhere

    with pytest.MonkeyPatch.context() as patch:
        for function in (json.loads, np.load, scipy.signal.resample, skimage.draw.polygon2mask):
            patch.setattr(doctor_elsewhere, "here", function, raising=False)
            found = Callee("here", doctor_elsewhere, "here").full_name
            home = {"loads": "json", "load": "numpy", "resample": "scipy.signal"}
            assert found.rpartition(".")[0] == home.get(function.__name__, "skimage.draw")


def test_names_of_callees_are_no_stand_ins(tmp_path: Path) -> None:
    made = doctor_habits.Noisy(tmp_path)
    assert all(one.replaceable for one in callees(Subject("", made)))


@pytest.mark.parametrize(("name", "keys"), [("Jittered", "['front']"), ("Plainly", "")])
def test_a_transform_of_any_name_is_moved_to_the_batch(
    name: str, keys: str, tmp_path: Path
) -> None:
    made = getattr(doctor_habits, name)(tmp_path)
    at = context(DataLoader(made, batch_size=8), tmp_path, **with_share("transforming"))
    (remedy,) = held_transforms(at)
    assert f"batch{keys} = change(batch{keys})" in remedy.lines
    torch.manual_seed(0)
    batch = remedy.collate([remedy.dataset[place] for place in range(8)])
    plain = at.collate([doctor_habits.unchanged(made, place) for place in range(8)])
    for one, own in zip(leaves(batch), leaves(plain), strict=True):
        flipped = torch.equal(one.value, own.value.flip(-1)) and one.value.ndim == 4
        assert flipped or torch.equal(one.value, own.value)


def test_what_goes_on_after_its_transform_is_left(tmp_path: Path) -> None:
    at = context(doctor_habits.CutAfter(tmp_path), tmp_path, **with_share("transforming"))
    assert held_transforms(at) == []
