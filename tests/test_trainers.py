"""Trainers with something to do, loaders beside them, and what is measured of both."""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import DataLoader, Subset

from benchmarks.measures import beside as measure_beside
from benchmarks.measures import training as measure_training
from benchmarks.trainers import Decode
from datasets_impl.contest import beside
from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.corpus.build import MAX_DRAWS
from datasets_impl.corpus.photographs import bundled_photographs, cut, window_of
from datasets_impl.errors import StudyError
from datasets_impl.experiments import trainers, ways
from datasets_impl.experiments.trainers import TRAINERS
from datasets_impl.experiments.training import Training
from datasets_impl.files.paths import CACHE_VARIABLE
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loading import Shuffled
from datasets_impl.observe.load import tree_seconds
from datasets_impl.observe.log import LOG_VARIABLE
from tests.leftovers import until
from tests.with_cells import records, tiny

pytestmark = pytest.mark.usefixtures("threads_as_before", "own_children")

TASKS = ("decode", "raw", "train")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- trainers --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINERS)
def test_twice_the_step_is_twice_the_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainers, "us_per_unit", lambda trainer: 2.0)
    assert (TRAINERS[name].units(5), TRAINERS[name].units(20)) == (2500, 10_000)
    assert TRAINERS[name].units(0.0001) == 1


@pytest.mark.parametrize("name", [name for name in TRAINERS if name != "waiting"])
def test_a_unit_is_timed_in_a_process_of_its_own_and_kept(
    name: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process imports PyTorch: one trainer's is run, those of the others are stood in for."""
    answers: list[Any] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        if answers:
            answers.append(answers[0])
        elif name == "computing":
            answers.append(run(*arguments, **options))
        else:
            here = str(trainers.timed_unit(TRAINERS[name]))
            answers.append(subprocess.CompletedProcess([], 0, here, ""))
        return answers[-1]

    monkeypatch.setattr(subprocess, "run", counted)
    us = trainers.us_per_unit(TRAINERS[name])
    assert us > 0 and trainers.us_per_unit(TRAINERS[name]) == us and len(answers) == 1
    monkeypatch.setattr(torch, "__version__", "0.0")
    trainers.us_per_unit(TRAINERS[name])
    assert len(answers) == 2, "another version may need another time"
    monkeypatch.setenv(LOG_VARIABLE, "/out/attempt-5/observations.jsonl")
    trainers.us_per_unit(TRAINERS[name])
    assert len(answers) == 3, "and so may another study"


def test_a_timing_that_was_disturbed_does_not_stay(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine whose clock says that a unit takes 2 µs alone; the disturbed timing said 3."""
    answers = [3.0, 2.0, 9.0, 9.0]
    took = {"us": 2.0}

    def answered(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess([], 0, f"{answers.pop(0)}\n", "")

    monkeypatch.setattr(subprocess, "run", answered)
    monkeypatch.setattr(trainers, "seconds_of", lambda work, units: units * took["us"] / 1e6)
    launching = TRAINERS["launching"]
    assert launching.verified_units(5) == 2500 and answers == [9.0, 9.0], "timed anew"
    assert launching.verified_units(20) == 10_000 and len(answers) == 2, "it is as long as asked"
    took["us"] = 4.0  # while something else runs
    assert launching.verified_units(20) == 10_000 and len(answers) == 2
    took["us"] = 1.0
    assert launching.verified_units(5) == 2500, "of two timings the shorter counts"


def test_a_process_that_cannot_time_a_unit_is_one_sentence(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "no such instruction\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(StudyError, match=r"launching cannot be timed: no such instruction\.$"):
        trainers.us_per_unit(TRAINERS["launching"])


def test_a_waiting_trainer_needs_no_timing_and_waits(own_cache: Path) -> None:
    assert TRAINERS["waiting"].units(5) == 5000 and not own_cache.exists()
    begun, busy = time.perf_counter(), time.thread_time()
    trainers.wait(50_000)
    assert time.perf_counter() - begun >= 0.05 and time.thread_time() - busy < 0.04


def switches_during(name: str, units: int) -> int:
    """How often another thread of this process got to run during a step."""
    counted, ended = 0, threading.Event()
    started = threading.Barrier(2)

    def count() -> None:
        nonlocal counted
        started.wait()
        while not ended.is_set():
            counted += 1
            time.sleep(0)

    other = threading.Thread(target=count)
    other.start()
    started.wait()
    TRAINERS[name].work(units)
    ended.set()
    other.join()
    return counted


def test_only_bookkeeping_keeps_the_interpreter_to_itself() -> None:
    """With a switch interval that no step reaches, another thread runs where the GIL is given."""
    before = trainers.sys.getswitchinterval()
    trainers.sys.setswitchinterval(1000)
    try:
        trainers.multiply(1)  # its threads start
        held = switches_during("bookkeeping", 1000)
        given = until(lambda: switches_during("waiting", 20_000) > 2)  # once a core is free
    finally:
        trainers.sys.setswitchinterval(before)
    assert held <= 2 and given


def test_the_trainer_that_computes_leaves_cores_to_the_loader() -> None:
    half = max(1, beside.cores() // 2)
    assert {name: row.threads for name, row in TRAINERS.items()} == {
        "waiting": beside.cores(), "bookkeeping": beside.cores(), "launching": beside.cores(),
        "computing": half,
    }  # fmt: skip


# --- loaders beside them ---------------------------------------------------------------------


def channels_first(batch: torch.Tensor) -> torch.Tensor:
    return batch.permute(0, 3, 1, 2) if batch.shape[-1] == 3 else batch


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("impl", beside.WAYS)
def test_every_way_gives_the_same_images_in_the_same_order(
    task: Any, impl: str, folder: Path
) -> None:
    made = beside.dataset(task, folder)
    expected = torch.stack([made[index] for index in Shuffled(COUNT, 2 * COUNT)])
    for setting in beside.settings(task, impl):
        opened = beside.opened(task, impl, folder, Shuffled(COUNT, 2 * COUNT), setting)
        with opened as batches:
            found = torch.cat([channels_first(batch).clone() for batch in batches])
        assert found.shape == expected.shape and found.dtype == torch.uint8
        assert task == "train" or torch.equal(found, expected), "crops are drawn anew"
    assert not multiprocessing.active_children()


def test_no_way_may_use_more_than_the_cores_or_look_further_ahead(folder: Path) -> None:
    for task in TASKS:
        for impl in beside.WAYS:
            for setting in beside.settings(task, impl):  # type: ignore[arg-type]
                assert 1 <= setting.get("num_workers", setting.get("threads")) <= beside.cores()
    for setting in beside.settings("decode", "dataloader"):
        with beside.opened("decode", "dataloader", folder, Shuffled(COUNT), setting) as loader:
            in_advance = loader.prefetch_factor * loader.num_workers  # type: ignore[attr-defined]
            assert ways.AHEAD <= in_advance < ways.AHEAD + loader.num_workers  # type: ignore[attr-defined]
    with beside.opened("decode", "threads", folder, Shuffled(COUNT), {"threads": 2}) as loader:
        assert loader.prefetch_factor == ways.AHEAD  # type: ignore[attr-defined]


# --- a real training -------------------------------------------------------------------------


def test_the_same_order_gives_the_same_losses_and_a_net_that_finds_the_photograph(
    session_cache: Path,
) -> None:
    """With as many crops as a test has time for: far above the eighth that guessing finds."""
    torch.set_num_threads(1)
    corpus = ensure_corpus(CorpusSpec(count=320, resolution=64))
    images = DecodedImages(corpus.root, corpus.classes)
    losses, accuracies = {}, {}
    for name, way in ways.WAYS.items():
        trainer = Training(8, steps=30)
        with way(images, Shuffled(256)) as batches:
            losses[name] = [loss for _ in range(6) for loss in trainer.epoch(batches)]
        kept = DataLoader(Subset(images, range(256, 320)), 64)
        accuracies[name] = trainer.accuracy(kept)
    assert len(losses["dataloader"]) == 24 and losses["dataloader"][-1] < losses["dataloader"][0]
    assert losses["threads"] == losses["process"] == losses["dataloader"]
    assert min(accuracies.values()) == max(accuracies.values()) > 0.3
    assert not multiprocessing.active_children()


def test_every_crop_is_of_the_photograph_that_its_class_says(corpus: Corpus) -> None:
    """Cut out again from that photograph, its pixels are those of the file, but for the JPEG."""
    photographs = [picture.load() for picture in bundled_photographs()]
    assert len(corpus.classes) == COUNT and len(corpus.manifest.sources) == len(photographs)

    def difference(index: int, source: int) -> float:
        held = np.asarray(Image.open(corpus.paths[index]).convert("RGB")).astype(float)
        height, width = photographs[source].shape[:2]
        windows = [window_of(0, index, draw, PX, height, width) for draw in range(MAX_DRAWS)]
        return min(float(abs(held - cut(photographs[source], w, PX)).mean()) for w in windows)

    for index, source in enumerate(corpus.classes):
        nearest = min(range(len(photographs)), key=lambda other: difference(index, other))
        assert nearest == source and difference(index, source) < 6


def test_a_training_is_timed_and_tested(short: None) -> None:
    made = tiny(n=40, impl="process")
    value, state = measure_training.training(made)
    assert value > 0 and 0 <= state["also"]["accuracy"] <= 100
    assert state["trained"] == 32 and len(state["epoch_seconds"]) == measure_training.EPOCHS
    assert not multiprocessing.active_children()


# --- the numbers -----------------------------------------------------------------------------


@pytest.fixture
def short(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_beside, "ALONE_SECONDS", 0.0)
    monkeypatch.setattr(measure_beside, "ALONE_STEPS", 3)
    monkeypatch.setattr(measure_beside, "TRIED_BATCHES", 2)
    monkeypatch.setattr(measure_beside, "PASS_BATCHES", 5)
    monkeypatch.setattr(trainers, "us_per_unit", lambda trainer, anew=False: 10.0)
    monkeypatch.setattr(measure_training, "EPOCHS", 2)


cell = partial(tiny, step_ms=1)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("task", "impl", "trainer"),
    [  # every way at every task, and every trainer
        *((task, impl, "waiting") for task in TASKS for impl in (*beside.WAYS, "threads-again")),
        *(("decode", "threads", trainer) for trainer in TRAINERS if trainer != "waiting"),
    ],
)
def test_an_epoch_the_step_and_the_cpu_are_measured(task: Any, impl: str, trainer: str) -> None:
    value, state = measure_beside.beside(cell(trainer=trainer, impl=impl), task)
    assert math.isfinite(value) and value > 0
    assert state["batches"] == 5 and state["units"] == 100
    assert state["threads"] == torch.get_num_threads() == TRAINERS[trainer].threads
    assert state["also"]["cpu"] > 0
    slowdown = state["step_ms"] / state["step_alone_ms"]
    assert state["also"]["slowdown"] == pytest.approx(slowdown, rel=0.2)  # rounded in the log
    assert state["setting"] in beside.settings(task, impl.removesuffix("-again"))
    assert len(state["tried"]) in (0, len(beside.settings(task, impl.removesuffix("-again"))))
    assert state["ahead_mb"] == pytest.approx(
        state["ahead_batches"] * 64 * 3 * (224 if task == "train" else PX) ** 2 / 1e6, rel=1e-3
    )
    assert state["resident_after"] >= 0.99 and not multiprocessing.active_children()


@pytest.mark.usefixtures("short")
def test_each_batch_is_touched_before_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    touch = measure_beside.touch
    monkeypatch.setattr(measure_beside, "touch", lambda b: told.append("batch") or touch(b))
    batches = [torch.zeros(4, 3, dtype=torch.uint8) for _ in range(9)]
    found = measure_beside.gone_over(iter(batches), lambda: told.append("step"), 3)
    assert told == ["batch", "step"] * 3
    assert (found.batches, found.images, found.bytes) == (3, 12, 12)
    assert found.seconds >= found.steps > 0


def spin(seconds: float) -> None:
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        pass


def test_cpu_time_of_a_process_that_has_ended_counts() -> None:
    before = tree_seconds()
    child = multiprocessing.get_context("fork").Process(target=spin, args=(0.2,))
    child.start()
    child.join()
    assert tree_seconds() - before >= 0.19


@pytest.mark.usefixtures("short")
def test_further_numbers_stand_in_the_log(log: Path) -> None:
    made = Decode().track_epoch(COUNT, PX, "waiting", 1, "threads")
    (record,) = records(log)
    assert made["samples"] == [record["value"]] and set(record["also"]) == set(Decode.also)
