"""The line that is shown is the user's and the right one, however the dataset is put together."""

from __future__ import annotations

import cProfile
import gc
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, random_split

from datasets_impl.doctor.findings.user_lines import shown
from datasets_impl.doctor.probes import profiling
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import subject_of
from tests import doctor_elsewhere
from tests.doctor_elsewhere import Slowly, Smooth, batched, logged

ROWS = np.random.default_rng(0).random((64, 200))
TABLE = pd.DataFrame(ROWS[:, :4], columns=list("abcd"))


def dear(row: Any) -> Any:
    return np.sort(np.tile(row, 40))[:200]  # costly function


class Rows(Dataset[Any]):
    transform: Any = staticmethod(dear)

    def __len__(self) -> int:
        return len(ROWS)

    def __getitem__(self, index: int) -> Any:
        row = ROWS[index].copy()
        return self.change(row)

    def change(self, row: Any) -> Any:
        return self.transform(row)


class Elsewhere(Rows):
    transform = Smooth()


class ByLambda(Rows):
    def change(self, row: Any) -> Any:
        sort = lambda values: np.sort(np.tile(values, 40))[:200]  # noqa: E731 # costly lambda
        return sort(row)


class ByGenerator(Rows):
    def change(self, row: Any) -> Any:
        return np.array(
            list(
                float(np.sort(np.tile(row, 9))[at])  # costly generator
                for at in range(8)
            )
        )


class ByPartial(Rows):
    def change(self, row: Any) -> Any:
        sort = partial(np.sort, axis=0)
        long = np.tile(row, 80)
        return sort(long)[:200]  # costly partial


class ByMap(Rows):
    def change(self, row: Any) -> Any:
        return np.stack(list(map(dear, [row])))[0]


class ByMapOfC(Rows):
    def change(self, values: Any) -> Any:
        row = values.tolist()
        return np.array(list(map(repr, row * 9)))[:8].astype(float)  # costly map


class Wrapped(Rows):
    @logged
    def __getitem__(self, index: int) -> Any:
        return np.sort(np.tile(ROWS[index], 40))[:200]  # costly wrapped


class Looked(Rows):
    def __getitem__(self, index: int) -> Any:
        row = TABLE.iloc[[index]].iloc[0]  # costly look-up
        return torch.ones(len(row))


def of(dataset: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=8, **options)


CASES: dict[str, Callable[[], Any]] = {
    "costly function": Rows,
    "costly transform": Elsewhere,
    "costly lambda": ByLambda,
    "costly generator": ByGenerator,
    "costly partial": ByPartial,
    "costly map": ByMapOfC,
    "costly wrapped": Wrapped,
    "costly look-up": Looked,
    "costly collate": lambda: of(Cheap(), collate_fn=batched),
    "costly function, by map": ByMap,
    "costly function, of a subset": lambda: Subset(Rows(), range(40)),
    "costly function, of two": lambda: ConcatDataset([Rows(), Rows()]),
    "costly function, of a split": lambda: of(random_split(Rows(), [32, 32])[0], shuffle=True),
    "costly collate, of a partial": lambda: of(Cheap(), collate_fn=partial(batched)),
}


class Cheap(Rows):
    """Cheap samples."""

    def __getitem__(self, index: int) -> Any:
        return ROWS[index]


def marked(text: str) -> tuple[str, int]:
    """File and number of the only line that ends with it, as a comment."""
    found = [
        (file, number)
        for file in (__file__, doctor_elsewhere.__file__)
        for number, line in enumerate(Path(file).read_text().splitlines(), 1)
        if line.endswith(f"# {text}")
    ]
    (one,) = found
    return one


@pytest.mark.parametrize("name", CASES)
def test_the_costliest_line_is_the_users(name: str) -> None:
    found = causes(subject_of(name, CASES[name]()), 4.0)
    first = found["lines"][0]
    assert (first["file"], first["line"]) == marked(name.partition(",")[0]), found["lines"][:3]


class Disturbed(Looked):
    """Once another program takes the processor, while the second line is profiled."""

    profiled = False

    def __getitem__(self, index: int) -> Any:
        row = TABLE.iloc[index]  # costly look-up, disturbed
        return self.second(len(row))

    def second(self, many: int) -> Any:
        if Disturbed.profiled:
            Disturbed.profiled = False
            sum(range(3_000_000))
        return many


def test_one_disturbance_makes_no_other_line_the_costliest(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noting(cProfile.Profile):
        def enable(self, *given: Any, **options: Any) -> None:
            Disturbed.profiled = number.pop() if number else False
            super().enable(*given, **options)

    number = [True]
    monkeypatch.setattr(cProfile, "Profile", Noting)
    first = causes(subject_of("x", Disturbed()), 20.0)["lines"][0]
    assert (first["file"], first["line"]) == marked("costly look-up, disturbed")


def test_a_program_that_holds_many_objects_is_not_walked_over_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, walked, before = [[] for _ in range(200_000)], list[int](), gc.get_freeze_count()
    gc.unfreeze()  # as a user's program begins
    monkeypatch.setattr(gc, "collect", lambda _: walked.append(len(gc.get_objects())))
    causes(subject_of("x", Rows()), 4.0)
    assert walked and max(walked) < len(held) / 4
    assert gc.get_freeze_count() == 0
    if before:
        gc.freeze()


def test_nor_is_what_it_made_after_it_had_frozen_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    if not gc.get_freeze_count():
        gc.freeze()
    monkeypatch.setattr(gc, "collect", asked.append)
    causes(subject_of("x", Rows()), 4.0)
    assert asked and max(asked) < 2 and gc.get_freeze_count()


def test_the_lines_of_a_quick_collate_function_are_told_though_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else no line is told of what takes all of the time."""
    slow = profiling.in_turns

    def late(*given: Any) -> Any:
        try:
            return slow(*given)
        finally:
            now[0] = 100.0

    now = [0.0]
    monkeypatch.setattr(profiling, "in_turns", late)
    real = time.perf_counter
    monkeypatch.setattr(profiling.clock, "perf_counter", lambda: real() + now[0])
    found = causes(subject_of("x", CASES["costly collate"]()), 4.0)["lines"]
    assert (found[0]["file"], found[0]["line"]) == marked("costly collate")


def test_the_line_of_a_sampler_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_impl.doctor.probes.starting.LEAST", 0.0)
    subject = subject_of("x", of(Cheap(), sampler=Slowly(64)))
    lines = starting(subject, 60.0).get("sampler_lines", [])
    assert shown(lines)[0].startswith(f"doctor_elsewhere.py:{marked('costly sampler')[1]}  order =")
