"""Causes by name, and shares of a profile, by hand and against a second way of measuring."""

from __future__ import annotations

import gc
import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl.doctor.probes import attribution
from datasets_impl.doctor.probes.attribution import Pass, attribute, calm, in_turns, looked
from datasets_impl.doctor.probes.causes import cause_of
from datasets_impl.doctor.probes.own_lines import Watched
from datasets_impl.doctor.probes.profile import Profile
from datasets_impl.errors import BAD_INPUT, StudyError
from datasets_impl.system.owners import own_prefix
from scripts import check_attribution
from tests import doctor_gallery


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("<built-in method time.sleep>", "waiting"),
        ("<method 'acquire' of '_thread.lock' objects>", "waiting"),
        ("<method 'read' of '_io.BufferedReader' objects>", "reading"),
        ("<built-in method posix.listdir>", "listing"),
        ("<method 'decode' of 'ImagingDecoder' objects>", "decoding"),
        ("<method 'resize' of 'ImagingCore' objects>", "resizing"),
        ("<built-in method torch.stack>", "collating"),
        ("torchvision/transforms/v2/_color.py:forward", "transforming"),
        ("<built-in method builtins.len>", None),
        ("<built-in method _sqlite3.connect>", "opening"),
        ("<method 'execute' of 'sqlite3.Connection' objects>", "reading"),
        ("<bilateralFilter>", "transforming"),
        ("<resize>", "resizing"),
        ("<imread>", "decoding"),
        ("PIL/Image.py:rotate", "transforming"),
        ("json/decoder.py:raw_decode", "parsing JSON"),
        ("numpy/lib/_npyio_impl.py:loadtxt", "parsing text"),
        ("numpy/lib/_npyio_impl.py:load", "reading"),
        ("<method 'read_low_memory' of 'pandas._libs.parsers.TextReader' objects>", "parsing CSV"),
        ("xml/etree/ElementTree.py:iterparse", "parsing XML"),
        ("copy.py:_deepcopy_list", "copying in depth"),
        ("numpy/lib/_function_base_impl.py:append", "growing arrays"),
        ("numpy/lib/function_base.py:insert", "growing arrays"),
        ("<method 'findall' of 're.Pattern' objects>", "regular expressions"),
        ("pandas/core/indexing.py:__getitem__", "pandas look-ups"),
        ("<fillPoly>", "drawing"),
        ("PIL/ImageDraw.py:polygon", "drawing"),
        ("PIL/JpegImagePlugin.py:_save", "encoding pictures"),
        ("PIL/JpegImagePlugin.py:load_end", "decoding"),
        ("<built-in method zlib.decompress>", "decompressing"),
        ("<method 'compress' of 'zlib.Compress' objects>", "compressing"),
        ("<built-in method _pickle.loads>", "unpickling"),
        ("<built-in method _pickle.dumps>", "pickling"),
        ("torch/serialization.py:load", "reading"),
        ("scipy/signal/_spectral_py.py:stft", "signal processing"),
        ("scipy/io/wavfile.py:read", "reading"),
        (
            "<method 'choice' of 'numpy.random.mtrand.RandomState' objects>",
            "drawing random numbers",
        ),
        ("random.py:sample", "drawing random numbers"),
        ("<built-in method torch.randn>", "drawing random numbers"),
        ("<method 'set' of 'cv2.VideoCapture' objects>", "decoding video"),
        ("<method 'read' of 'cv2.VideoCapture' objects>", "decoding video"),
        ("<built-in method posix.fsync>", "writing"),
        ("<method 'write' of '_io.TextIOWrapper' objects>", "writing"),
        ("logging/__init__.py:emit", "writing"),
        ("<built-in method gc.collect>", "collecting garbage"),
        ("<built-in method torch._C._cuda_emptyCache>", "collecting garbage"),
        ("<built-in method numpy.frombuffer>", "converting"),
        ("<built-in method numpy._core._multiarray_umath._unique_hash>", None),
        ("<built-in method numpy.bincount>", None),
    ],
)
def test_causes_by_name(name: str, cause: str | None) -> None:
    assert cause_of(name) == cause


@pytest.mark.parametrize(
    ("asked_by", "cause"),
    [
        ("python", "converting"),
        ("pandas look-ups", "pandas look-ups"),
        ("transforming", "converting"),
    ],
)
def test_arrays_belong_to_the_kind_of_work_that_asks_for_them(asked_by: str, cause: str) -> None:
    assert cause_of("<method 'astype' of 'numpy.ndarray' objects>", asked_by) == cause


@pytest.mark.parametrize(
    ("asked_by", "cause"), [("python", "converting"), ("drawing", "drawing"), ("resizing",) * 2]
)
def test_a_picture_is_handled_for_the_work_that_asks_for_it(asked_by: str, cause: str) -> None:
    assert cause_of("PIL/Image.py:_ensure_mutable", asked_by) == cause


def busy(seconds: float) -> None:
    """Of this thread alone, whatever else the machine does."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def both(_: Any) -> None:
    time.sleep(3e-3)
    busy(1e-3)


def test_shares_are_those_of_the_clock() -> None:
    found = attribute(both, range(40))
    assert found.causes["waiting"] / found.total == pytest.approx(0.75, abs=0.1)
    assert found.causes["python"] / found.total == pytest.approx(0.25, abs=0.1)
    assert abs(found.unattributed) < 0.05 * found.total


def test_a_pass_that_was_disturbed_does_not_count() -> None:
    """The machine stood still for a second in one of them."""
    passes = iter([Pass(wall=1.001, blocked=1.0), Pass(wall=0.001)])
    found = in_turns(lambda _: None, range(10), lambda: next(passes), rounds=2)
    assert found.total == pytest.approx(1e-4) and not found.causes.get("waiting")


@pytest.mark.parametrize("slower", [1.0, 1.5])
def test_a_slower_pass_with_the_profiler_is_not_taken_from_pythons_part(
    monkeypatch: pytest.MonkeyPatch, slower: float
) -> None:
    """Of the passes without it the quickest counts, so it does of those with it."""
    walls = iter([1e-3, slower * 1e-3])

    def look(get: Any, inputs: Any, until: float) -> attribution.Look:
        wall = next(walls)
        stats = [
            SimpleNamespace(code=code, inlinetime=part * wall, totaltime=part * wall, calls=None)
            for code, part in ((busy.__code__, 0.6), ("<built-in method numpy.array>", 0.4))
        ]
        return attribution.Look(Pass(whole=wall, wall=wall), stats, 1)

    monkeypatch.setattr(attribution, "looked", look)
    monkeypatch.setattr(attribution, "LEAST_SEEN", 0.0)
    found = in_turns(both, range(1), lambda: Pass(wall=1e-3), rounds=2)
    assert found.causes["python"] == pytest.approx(6e-4)
    assert found.causes["converting"] == pytest.approx(4e-4)


def test_the_users_lines_are_named() -> None:
    found = attribute(both, range(10))
    assert {one.file for one in found.lines} == {__file__}
    assert found.lines[0].line == both.__code__.co_firstlineno + 1, "it sleeps there"
    assert found.lines[0].causes["waiting"] > 0.5 * found.total
    spent = sum(one.seconds for one in found.lines)
    assert spent == pytest.approx(found.total, rel=0.2), found.lines


def loop(row: Any) -> int:
    total = 0
    for value in row:
        total += int(value)
    return total


def test_a_python_loop_is_not_lengthened_by_the_profiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported is the time without the profiler, whatever that added."""
    plain: list[Pass] = []
    monkeypatch.setattr(
        attribution, "calm", lambda passes: plain.extend(calm(passes)) or calm(passes)
    )
    rows = list(np.zeros((20, 20_000), np.uint8))
    found = attribute(loop, rows)
    assert found.total == pytest.approx(min(one.wall for one in plain) / len(rows), rel=1e-6)
    assert found.causes["python"] > 0.9 * found.total


def pixel_by_pixel(picture: Any) -> None:
    for at in range(2000):
        picture.getpixel((at % 50, at // 50))


def test_a_loop_of_quick_calls_is_a_loop() -> None:
    """Whatever library is called: it is asked for one number at a time."""
    found = attribute(pixel_by_pixel, [Image.new("RGB", (50, 50))] * 8)
    assert found.causes["python"] > 0.9 * found.total, found.causes
    first = found.lines[0]
    assert first.line == pixel_by_pixel.__code__.co_firstlineno + 2
    assert max(first.causes, key=lambda one: first.causes[one]) == "python"


def test_lines_of_quick_samples_have_their_time_though_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else all of a sample is told of its first line."""
    given: list[float] = []

    def watch(get: Any, inputs: Any, until: float) -> Watched:
        given.append(until)
        return Watched()

    monkeypatch.setattr(attribution, "watch_lines", watch)
    monkeypatch.setattr(attribution.clock, "perf_counter", lambda: 100.0)
    in_turns(lambda _: None, range(3), lambda: Pass(wall=3e-5), 1, until=99.0)
    assert given == [100.0 + attribution.LEAST_LINES]


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0, 20, 10**6), (0.2, 1, 1)])
def test_more_than_one_quick_item_is_seen_though_the_time_is_over(
    seconds: float, least: int, most: int
) -> None:
    """The first finds caches cold: what it takes is not what an item takes."""
    look = looked(lambda _: time.sleep(seconds), range(10**6), until=0.0)
    assert least <= look.items <= most


@pytest.mark.slow
def test_shares_agree_with_a_profiler_that_looks_from_outside(ward: Path) -> None:
    """On samples in which reading, a library's work, and a loop take about the same."""
    target, kwargs = f"{doctor_gallery.__file__}:ThreeKinds", {"folder": str(ward)}
    for _ in range(3):  # the two look one after the other, and the machine changes in between
        try:
            sampled = check_attribution.sampled_shares(target, json.dumps(kwargs), 2.0)
        except StudyError as reason:
            pytest.skip(str(reason))
        own = check_attribution.own_shares(target, kwargs)
        if check_attribution.furthest(own, sampled) < check_attribution.APART:
            return
    pytest.fail(f"{own} and {sampled}")


def test_what_py_spy_writes_goes_where_a_killed_run_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def killed(command: list[str], **options: Any) -> None:
        asked.extend(command)
        raise KeyboardInterrupt

    monkeypatch.setattr(check_attribution.subprocess, "run", killed)
    monkeypatch.setattr(check_attribution.shutil, "which", lambda *given, **options: "py-spy")
    with pytest.raises(KeyboardInterrupt):
        check_attribution.sampled_shares("nowhere", "{}", 1.0)
    assert Path(asked[asked.index("--output") + 1]).parent.name.startswith(own_prefix())


def test_waiting_for_a_lock_is_told_from_python() -> None:
    """`with lock:` is no call that a profiler sees."""
    lock = threading.Lock()
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            with lock:
                time.sleep(2e-3)
            time.sleep(1e-4)

    holder = threading.Thread(target=hold)
    holder.start()

    def get(_: Any) -> None:
        with lock:
            pass
        time.sleep(1e-3)

    try:
        found = attribute(get, range(60))
    finally:
        over.set()
        holder.join()
    assert found.causes["waiting"] > 0.8 * found.total


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kwargs", "{"], "--kwargs is '{'; give a JSON object"),
        (["--kwargs", "[1]"], "--kwargs is '.1.'; give a JSON object"),
        (["--seconds", "nan"], "--seconds is nan; give a number above 0"),
        (["--seconds", "-1"], "--seconds is -1.0; give a number above 0"),
    ],
)
def test_arguments_of_the_comparison(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_attribution.main(["nowhere", *arguments]) == BAD_INPUT
    assert re.search(says, " ".join(capsys.readouterr().err.split()))


def test_items_that_take_no_time_have_no_causes() -> None:
    """As on a machine that ran something else all the while."""
    assert Profile([], plain=0.0, items=1, blocked=0.0).threads == 0.0


def test_both_sides_begin_without_garbage() -> None:
    """Else the collector came into every pass of one side and into none of the other."""
    seen: list[int] = []

    def look(*_: Any) -> Pass:
        seen.append(gc.get_count()[1])
        [[] for _ in range(100_000)]
        return Pass(wall=1.0)

    in_turns(look, [0], look, 2, time.perf_counter() + 60)
    assert seen[:4] == [0] * 4
