"""Lines of the user's: which of them costs what, for which kind of work, and how that is shown."""

from __future__ import annotations

import copy
import cProfile
import csv
import io
import itertools
import json
import pickle
import re
import sys
import time
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.sparse
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from torch.utils.data import DataLoader

from datasets_impl.doctor.findings.mechanisms import workers_cost
from datasets_impl.doctor.findings.time_causes import time_causes
from datasets_impl.doctor.findings.user_lines import leading_to, place_of
from datasets_impl.doctor.probes import own_lines
from datasets_impl.doctor.probes.attribution import attribute
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.own_lines import Spent, named_at, watch_lines
from datasets_impl.doctor.probes.profile import Profile
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.probes.thresholds import LOOPED
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.page import page
from datasets_impl.doctor.report.terminal import account_of, print_diagnosis


def line_of(text: str) -> int:
    """The number of the only line of this file that ends with it, as a comment."""
    lines = Path(__file__).read_text().splitlines()
    (found,) = (number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}"))
    return found


NESTED = [{"points": [[x, x + 1] for x in range(200)], "name": "a b" * 20} for _ in range(5)]
JSON, PICKLED = json.dumps(NESTED), pickle.dumps([(x, x + 1) for x in range(50_000)])
TABLE = "\n".join(f"{x},{x + 1},{x + 2}" for x in range(3000))
TREE = "<a>" + '<b c="1">2</b>' * 3000 + "</a>"
PACKED = zlib.compress(bytes(range(256)) * 20_000)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))


class Work:
    """One kind of work each, in a line of its own among others that cost little."""

    def json(self, _: Any) -> Any:
        text = JSON.strip()
        return json.loads(text)  # parsing JSON

    def csv(self, _: Any) -> Any:
        file = io.StringIO(TABLE)
        return list(csv.DictReader(file))  # parsing CSV

    def text(self, _: Any) -> Any:
        file = io.StringIO(TABLE)
        return np.loadtxt(file, delimiter=",")  # parsing text

    def xml(self, _: Any) -> Any:
        made = ElementTree.fromstring(TREE)  # parsing XML
        return made.tag

    def copy(self, _: Any) -> Any:
        found = copy.deepcopy(NESTED)  # copying in depth
        return found[0]

    def find(self, _: Any) -> Any:
        text = TABLE.lower()
        return re.findall(r"(\d+),(?=1)", text)  # regular expressions

    def unpack(self, _: Any) -> Any:
        found = zlib.decompress(PACKED)  # decompressing
        return len(found)

    def unpickle(self, _: Any) -> Any:
        return pickle.loads(PICKLED)  # unpickling

    def draw(self, _: Any) -> Any:
        mask = Image.new("L", (400, 400))
        for x in range(0, 300, 10):
            ImageDraw.Draw(mask).ellipse((x, x, x + 90, x + 90), fill=255)  # drawing
        return mask.size

    def grow(self, _: Any) -> Any:
        made = np.zeros(0)
        for number in range(300):
            made = np.append(made, np.full(300, number))  # growing arrays
        return made.sum()

    def encode(self, _: Any) -> Any:
        file = io.BytesIO()
        PICTURE.save(file, "jpeg")  # encoding pictures
        return file.tell()


@pytest.mark.parametrize("name", [name for name in vars(Work) if not name.startswith("_")])
def test_the_kind_of_work_is_named_at_the_users_line(name: str) -> None:
    found = attribute(getattr(Work(), name), range(6))
    first = found.lines[0]
    kind = max(first.causes, key=lambda one: first.causes[one])
    assert (first.line, first.file) == (line_of(kind), __file__), found.lines
    assert first.causes[kind] > 0.4 * found.total, found


def test_a_call_that_was_not_watched_is_found_by_its_name() -> None:
    code = Work.draw.__code__
    assert named_at(code, "ellipse") == {line_of("drawing"): 1.0}
    assert named_at(code, ("PIL/ImageDraw.py", 1, "ellipse")) == {line_of("drawing"): 1.0}
    assert named_at(code, "polygon") == {}


def test_a_line_is_told_from_the_same_call_in_another() -> None:
    def twice(_: Any) -> None:
        time.sleep(1e-3)
        time.sleep(9e-3)  # the longer one

    first = attribute(twice, range(5)).lines[0]
    assert first.line == line_of("the longer one")


def test_hooks_end_at_their_time_and_leave_those_of_others() -> None:
    def look(*_: Any) -> None:
        """Somebody else's profiler."""

    def get(_: Any) -> None:
        for _ in range(2000):
            len("")

    sys.setprofile(look)
    try:
        seen = watch_lines(get, range(50), time.perf_counter() - 1)
        after = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert after is look and sys.gettrace() is None
    assert seen.items == 0 and sum(seen.times.values()) < 10


def one_loop(values: range) -> int:
    total = 0
    for one in values:
        total ^= one
    return total


def two_loops(values: range) -> int:
    total = 0
    for one in values:
        total ^= one
    for one in values:
        total ^= one
    return total


def then_operators(values: range) -> int:
    total = 0
    for one in values:
        total ^= one
    return total * total


def two_calls(values: range) -> int:
    return one_loop(values[:99]) + one_loop(values)


@pytest.mark.parametrize(
    ("read", "seconds", "told"),
    [
        (one_loop, 1.0, True),
        (two_calls, 1.0, True),
        (two_loops, 1e-9, False),  # the other may be the longer one
        (then_operators, 1.0, False),  # of large arrays, perhaps
        (then_operators, 1e-5, True),  # there is hardly room for such
    ],
)
def test_a_first_item_that_does_not_end_tells_its_lines_where_nothing_longer_may_follow(
    read: Any, seconds: float, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = range(5000)
    profiler = cProfile.Profile()
    profiler.runcall(read, values)
    moments = itertools.count()
    monkeypatch.setattr(own_lines.clock, "perf_counter", lambda: float(next(moments)))
    seen = watch_lines(read, [values], 4000.0)
    assert seen.items == 0
    found = Profile(profiler.getstats(), seconds, 1, 0.0).attributed(0.0, seen)
    costly = {one.line: one.times for one in found.lines if one.seconds > 0.2 * seconds}
    if told:
        assert costly and all(times > LOOPED for times in costly.values()), found.lines
    else:
        assert list(costly) == [read.__code__.co_firstlineno], found.lines


def test_what_ran_in_between_does_not_count_for_a_line() -> None:
    spent = Spent()
    for item in range(4):
        spent.add(10, item, 3.0)
        spent.add(11, item, 1.0 if item != 2 else 500.0)
    assert spent.parts(4) == pytest.approx({10: 0.75, 11: 0.25})


def spent(code: str, times: float = 1.0, **causes: float) -> dict[str, Any]:
    causes = {name.replace("_", " "): seconds for name, seconds in causes.items()}
    return {"file": "/home/me/train.py", "line": 41, "function": "get", "code": code,
            "times": times, "causes": causes}  # fmt: skip


def test_lines_of_the_user_fit_a_terminal_and_the_account_adds_up() -> None:
    long = f"row = json.loads({'very_' * 30}long)"
    lines = [spent(long, parsing_JSON=6e-4, python=1e-4), spent("for x in row:", 900, python=2e-4)]
    parts = {"parsing JSON": 6e-4, "python": 3e-4, "reading": 1e-4}
    causes = {"total": 1e-3, "causes": parts, "lines": lines}
    look = {"type": "Rows", "length": 9, "bytes": 8.0, "kinds": []}
    found = diagnose("rows", Heard(answers={"look": look, "causes": causes}))
    assert [one.name for one in found.findings] == ["parsing JSON"]
    assert found.findings[0].evidence.endswith("without it at most 2.5 times as fast.")
    assert [one.kind for one in found.places] == ["parsing JSON", "looping in Python"]
    file = io.StringIO()
    print_diagnosis(found, None, Console(width=80, file=file, highlight=False))
    said = file.getvalue()
    assert max(map(len, said.splitlines())) <= 80
    assert re.search(r"70%\s+700 us\s+3.3x  train.py:41  parsing JSON\n\s+row = json", said)
    rows = ("your own code         90%", "  parsing JSON        60%",
            "  looping in Python   20%", "  its own lines       10%")  # fmt: skip
    assert [said.index(row) for row in rows] == sorted(said.index(row) for row in rows)
    assert "Your lines that cost most, and times as fast without, at most" in said
    html = page(found)
    assert "3.3 times as fast" in html and '"kind">  looping in Python' in html
    assert "Parsing JSON takes the time (train.py:41)." in said
    assert "/home/me/train.py:41, get" in page(found)


@pytest.mark.parametrize(
    ("times", "title"),
    [(900, "Looping in Python takes the time"), (1, "Your own operations take the time")],
)
def test_a_loop_is_told_from_operations(times: float, title: str) -> None:
    lines = [spent("made[y] = 255 - row[y]", times, python=9e-4)]
    causes = {"total": 1e-3, "causes": {"python": 9e-4}, "lines": lines}
    (found,) = time_causes({"causes": causes})
    assert found.title == title


@pytest.mark.parametrize(
    ("times", "rows"),
    [
        (900, [("your own code", 900.0), ("  looping in Python", 900.0), ("  its own lines", 0.0)]),
        (1, [("your own code", 900.0)]),
    ],
)
def test_loops_are_a_row_of_the_account(times: float, rows: list[tuple[str, float]]) -> None:
    lines = [spent("made[y] = 255 - row[y]", times, python=1e-3)]  # the profile has it larger
    causes = {"total": 1e-3, "causes": {"python": 9e-4}, "lines": lines}
    found = diagnose("rows", Heard({"causes": causes}))
    own = [row for row in account_of(found) if row[0] != "not attributed"]
    assert [(name, round(us, 6)) for name, us in own] == rows


@pytest.mark.parametrize(("own", "first"), [(0.5, "signal processing"), (0.7, "python")])
def test_work_that_has_a_name_is_told_before_operations_that_have_none(
    own: float, first: str
) -> None:
    parts = {"python": own * 1e-3, "signal processing": 0.9e-3 - own * 1e-3}
    found = time_causes({"causes": {"total": 1e-3, "causes": parts}})
    assert max(found, key=lambda one: one.rank).name == first


def dear_collate(samples: list[torch.Tensor]) -> torch.Tensor:
    rows = [sorted(one.tolist()) for one in samples]  # dear
    return torch.zeros(len(rows))


def test_the_line_of_a_collate_function_is_told() -> None:
    data = list(torch.rand(64, 4000))
    loader = DataLoader(data, batch_size=16, collate_fn=dear_collate)  # type: ignore[arg-type]
    found = causes(subject_of("data", loader), 6.0)
    first = found["lines"][0]
    assert first["code"].endswith("# dear") and list(first["causes"]) == ["collating"]
    told = sum(one["causes"].get("collating", 0.0) for one in found["lines"])
    assert 0 < told <= 1.01 * found["collating"]


def test_what_is_loaded_at_first_is_no_part_of_a_usual_sample() -> None:
    class Lazy(list[int]):
        def __getitem__(self, index: Any) -> Any:
            if not vars(self).setdefault("there", False):
                vars(self)["there"] = True
                time.sleep(0.3)
            return index

    assert look(subject_of("lazy", Lazy([0] * 99)), 0.1)["cost"] < 0.1


@pytest.mark.parametrize("code", ["for x in row:", "for x in row", "made = row[:]"])
def test_one_colon_comes_between_a_line_and_what_it_takes(code: str) -> None:
    causes = {"total": 1e-3, "causes": {"python": 9e-4}, "lines": [spent(code, python=9e-4)]}
    told = [*leading_to({"causes": causes}, "python")]
    told.append(place_of({"file": "train.py", "line": 41, "code": code, "share": 0.9}))
    start = f"train.py:41  {code.removesuffix(':')}:"
    assert told == [f"{start} 0.90 ms, 90%", f"{start} 90%"]


@pytest.mark.parametrize("asks", [True, False])
def test_workers_that_ask_one_process_in_turn_are_not_the_cause(asks: bool) -> None:
    kind = "asking another process" if asks else "converting"
    none = {"name": "workers-0", "beside": [300.0, 300.0], "blocks": [100.0, 100.0]}
    seen = {
        "causes": {"total": 1e-4, "causes": {kind: 9e-5}},
        "settings": {"num_workers": 2},
        "tried": {"remedies": [none]},
    }
    assert (workers_cost(seen) is None) is asks
    assert "takes the time" in time_causes(seen)[0].title


def test_a_package_whose_work_has_no_name_is_named() -> None:
    table = scipy.sparse.random(300, 300, 0.2, "csr", random_state=0)

    def of_rows(index: int) -> Any:
        return [table[row].multiply(2.0).sum() for row in range(30)]

    def of_arrays(index: int) -> Any:
        return sum(np.sort(np.arange(5000)[::-1])[0] for _ in range(20))

    found = attribute(of_rows, range(6)).packages
    assert max(found, key=lambda one: found[one]) == "scipy.sparse" and found["scipy.sparse"] > 0.5
    assert max(attribute(of_arrays, range(6)).packages.values(), default=0.0) < 0.5


@pytest.mark.parametrize(
    ("share", "title"),
    [(0.7, "shapely takes the time"), (0.4, "Your own operations take the time")],
)
def test_the_package_is_in_the_title_where_it_takes_most(share: float, title: str) -> None:
    profile = {"total": 0.01, "causes": {"python": 0.009}, "packages": {"shapely": share, "x": 0.1}}
    (found,) = time_causes({"causes": profile, "settings": {}})
    assert (found.title, found.name) == (title, "python")
