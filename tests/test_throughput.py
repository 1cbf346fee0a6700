"""Throughput of arms: whole epochs, the fastest setting, ceilings that do what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.arms import MOVED
from benchmarks.grids import Cell
from benchmarks.measures import arms
from benchmarks.measures import costs as measure_costs
from benchmarks.measures import scale as measure_scale
from benchmarks.measures import targets as measure_targets
from benchmarks.measures.arms import throughput
from benchmarks.measures.costs import costs
from benchmarks.measures.scale import augmented, counted, made_up_pack, parallel_by, scaled
from datasets_impl.contest import tuning
from datasets_impl.contest.ceilings import CEILINGS
from datasets_impl.contest.registry import ARMS
from datasets_impl.contest.tuning import tuned
from datasets_impl.corpus import Corpus
from datasets_impl.errors import Unsupported
from datasets_impl.experiments.augment import PLACES
from datasets_impl.files.paths import CACHE_VARIABLE

pytestmark = pytest.mark.usefixtures("threads_as_before")

COUNT, PX = 72, 40
BATCHES = 5  # not a number of whole epochs, of two batches each


@pytest.fixture(autouse=True)
def a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "SECONDS", 0.01)


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches alone decide how long is measured, however slow the machine is."""
    monkeypatch.setattr(arms, "LEAST_BATCHES", BATCHES)
    monkeypatch.setattr(arms, "ARM_SECONDS", 0.0)
    monkeypatch.setattr(arms, "SLOW_SECONDS", math.inf)


def cell(impl: str) -> Cell:
    return Cell.at(["n", "px", "impl"], (COUNT, PX, impl))


@pytest.mark.parametrize(
    ("task", "impl"),
    [("decode", "threaded-pack"), ("decode", "dataloader-pil"), ("raw", "gathered"),
     ("train", "threaded-crops-again")],
)  # fmt: skip
def test_an_arm_is_measured_over_whole_epochs_with_its_fastest_setting(
    task: Any, impl: str
) -> None:
    value, state = throughput(cell(impl), task)
    assert value > 0 and state["us_after_first"] > 0 and state["first_batch_ms"] > 0
    assert state["cpu_us"] >= 0
    assert state["batches"] >= BATCHES and state["batches"] == 2 * state["epochs"]
    arm = ARMS[task, impl.removesuffix("-again")]
    assert state["setting"] in arm.settings
    assert len(state["tried"]) == (len(arm.settings) if len(arm.settings) > 1 else 0)


def test_a_slow_arm_is_measured_over_a_hundred_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "LEAST_BATCHES", 10_000)
    monkeypatch.setattr(arms, "SLOW_SECONDS", 0.0)
    _, state = throughput(cell("threaded-pack"), "decode")
    assert state["batches"] == 100


@pytest.mark.parametrize("name", CEILINGS)
def test_a_ceiling_goes_over_every_image(name: str, corpus: Corpus) -> None:
    once = CEILINGS[name](corpus.root)
    assert once() == once() == len(corpus.paths)


def test_a_ceiling_is_measured_like_an_arm() -> None:
    value, state = throughput(cell("ceiling-gather"), "raw")
    assert value > 0 and state["passes"] >= 1 and state["cpu_us"] >= 0


def test_what_is_not_installed_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(ARMS["decode", "threaded-files"], package="no_such_package")
    monkeypatch.setitem(ARMS, ("decode", "threaded-files"), missing)
    with pytest.raises(Unsupported, match="no_such_package is not installed"):
        throughput(cell("threaded-files"), "decode")


def test_the_search_is_made_once_and_anew_for_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = {'{"threads": 1}': 3.0, '{"threads": 2}': 2.0}
    calls = []
    monkeypatch.setattr(tuning, "search", lambda arm, root: calls.append(arm) or dict(tried))
    arm = replace(ARMS["decode", "threaded-files"], settings=({"threads": 1}, {"threads": 2}))
    for _ in range(2):
        assert tuned(arm, tmp_path, tmp_path / "answers") == ({"threads": 2}, tried)
    assert len(calls) == 1
    answer = tmp_path / "answers" / "decode-threaded-files.json"
    answer.write_text(answer.read_text()[:20])
    tuned(arm, tmp_path, tmp_path / "answers")
    tuned(replace(arm, settings=({}, {"threads": 2})), tmp_path, tmp_path / "answers")
    assert len(calls) == 3


@pytest.mark.parametrize("impl", ["threaded-pack", "dataloader-simplejpeg", "batched-simplejpeg"])
def test_threads_and_batch_size_are_what_the_cell_says(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}
    arm = ARMS["decode", impl]

    def opened(root: Path, **options: Any) -> Any:
        asked.update(options)
        return arm.open(root, **options)

    monkeypatch.setitem(ARMS, ("decode", impl), replace(arm, open=opened))
    sizes: list[int] = []
    monkeypatch.setattr(arms, "touch", lambda batch: sizes.append(len(batch)) or len(batch))
    value, state = scaled(replace(cell(impl), workers=2, batch=16), "decode")
    assert value > 0 and state["batches"] >= BATCHES
    assert asked == {"batch_size": 16, parallel_by(arm): 2}
    assert set(sizes) == {16, COUNT % 16}


@pytest.mark.parametrize("impl", ["gathered", "pack-batched"])
def test_made_up_images_are_stored_once_and_gone_over(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(cell(impl), n=100, px=4)
    assert counted(made)[0] > 0
    images = made_up_pack(100, 4)
    assert len(images) == 100 and len({bytes(images.read(i)) for i in range(100)}) == 100
    monkeypatch.setattr(measure_scale.MadeUp, "content", lambda self, index: 1 / 0)
    assert counted(made)[0] > 0, "what is there is not made again"


@pytest.mark.parametrize("place", PLACES)
def test_augmentation_is_measured_in_each_place(place: str) -> None:
    if place == "on-device" and not torch.cuda.is_available():
        with pytest.raises(Unsupported, match="no CUDA device"):
            augmented(cell(place))
    else:
        value, state = augmented(cell(place))
        assert value > 0 and state["batches"] >= BATCHES


@pytest.mark.slow
@pytest.mark.parametrize("task", ["decode", "raw"])
def test_costs_of_an_arm_in_a_separate_process(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of both processes; what it reads is the same."""
    seen: list[int] = []
    peak = measure_costs.PeakMemory
    monkeypatch.setattr(
        measure_costs, "PeakMemory", lambda: (seen.append(len(active_children())), peak())[1]
    )
    value, state = costs(cell(f"{MOVED[task]}{measure_costs.SEPARATE}"), task)
    assert value > 0 and state["arm"] and seen == [1]
    assert state["where"] == "process" and "psnr" not in state


@pytest.mark.slow
@pytest.mark.parametrize("task", ["decode", "raw"])
def test_the_same_pictures_with_targets_and_without(task: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(measure_targets, "PASS_BATCHES", 3)
    seen: list[str] = []

    def told(arm: Any) -> None:
        batches = list(arm)
        assert len(batches) == 3
        seen.append("without" if isinstance(batches[0], torch.Tensor) else "with")

    monkeypatch.setattr(measure_targets, "run_epoch", told)
    value, state = measure_targets.with_targets(cell("naive"), task)
    assert value > 0 and len(state["pairs"]) == measure_targets.PAIRS
    first, second = ["without", "with"], ["with", "without"]
    assert seen == [*first, *second, *first, *second, *first], "each goes first as often"


def test_costs_of_an_arm() -> None:
    value, state = costs(cell("threaded-pack"), "decode")
    assert value > 0
    assert state["conversion_seconds"] > 0 and state["bytes_on_disk"] >= state["jpeg_bytes"] > 0
    assert (state["mean_difference"], state["psnr"]) == (0, None)
    plain = costs(cell("threaded-files"), "decode")[1]
    assert (plain["conversion_seconds"], plain["bytes_on_disk"]) == (0, 0)
