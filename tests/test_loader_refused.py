"""What a loader cannot mean is refused in one sentence, where `DataLoader` refuses it too."""

from __future__ import annotations

import pickle
import sys
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
)

from datasets_impl import CentreCrops
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.loader import ThreadedLoader
from tests.nursery import Nursery
from tests.samples import (
    Made,
    Stream,
    everywhere,
    same,
)

WRONG: list[tuple[Any, dict[str, Any]]] = [
    (Made("tuple"), {"batch_size": 0}),
    (Made("tuple"), {"batch_size": 2.5}),
    (Made("tuple"), {"timeout": -1}),
    (Made("tuple"), {"sampler": [0], "shuffle": True}),
    (Made("tuple"), {"batch_sampler": [[0]], "batch_size": 2}),
    (Made("tuple"), {"batch_sampler": [[0]], "shuffle": True}),
    (Made("tuple"), {"batch_size": None, "drop_last": True}),
    (Stream(), {"shuffle": True}),
    (Stream(), {"sampler": [0]}),
    (Stream(), {"batch_sampler": [[0]]}),
]


@pytest.mark.parametrize(("data", "given"), WRONG)
def test_what_does_not_fit_together_is_refused_as_there(data: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        DataLoader(data, **given)
    with pytest.raises(BadArgument, match=r"\w.*\.$"):
        ThreadedLoader(data, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"threads": 0},
        {"threads": 2.5},
        {"where": "elsewhere"},
        {"prefetch_factor": -1},
        {"prefetch_factor": 2**70},
        {"batch_size": 2**70},
        {"in_order": 1},
        {"pin_memory": None},
        {"overwrite": True},
        {"overwrite": "yes"},
        {"collate_fn": 5},
        {"drop_last": "False"},
        {"seed": 1, "sampler": [0]},
        {"seed": "one"},
        {"shuffle": "no"},
        {"timeout": "5"},
        {"timeout": None},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 10**400},
        {"generator": np.random.default_rng()},
        {"generator": 5},
        {"sampler": 5},
        {"sampler": "012"},
        {"sampler": {}},
        {"batch_sampler": 5},
        {"num_replicas": 2},
        {"rank": 0},
        {"num_replicas": 2, "rank": 2},
        {"num_replicas": 2, "rank": 0, "batch_sampler": [[0]]},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        ThreadedLoader(Made("tuple"), **given)


OF_WORKERS: dict[str, Any] = {
    "num_workers": 4,
    "persistent_workers": True,
    "multiprocessing_context": "spawn",
    "pin_memory_device": "cuda",
}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["num_workers"],
            r'^A .* no workers; give threads and where \("trainer" .*\) in place .*\.$',
        ),
        (["persistent_workers"], r"; give no persistent_workers \(its process lives as long .*\.$"),
        (
            ["multiprocessing_context"],
            r"; give start_method in place of multiprocessing_\w+\.$",
        ),
        (["pin_memory_device"], r"; give pin_memory alone in place of pin_memory_device\.$"),
        (OF_WORKERS, "threads and .* and start_method .* and no persistent_workers .* and pin_mem"),
    ],
)
def test_what_is_said_to_workers_is_said_to_threads_otherwise(names: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        ThreadedLoader(Made("tuple"), **{name: OF_WORKERS[name] for name in names})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'num_worker'"):
        ThreadedLoader(Made("tuple"), num_worker=4)  # type: ignore[arg-type]


def test_dataloaders_defaults_are_taken() -> None:
    names = {*signature(DataLoader).parameters} - {*OF_WORKERS}
    defaults = {name: signature(DataLoader).parameters[name].default for name in names}
    made = ThreadedLoader(Made("tuple"), **{k: v for k, v in defaults.items() if k != "dataset"})
    assert made.prefetch_factor == ThreadedLoader(Made("tuple")).prefetch_factor == 2


@pytest.mark.parametrize("data", [None, "/photos", Made, iter([1]), 5])
def test_what_is_no_dataset_is_refused(data: Any) -> None:
    with pytest.raises(BadArgument, match=r"dataset is .*; give a dataset"):
        ThreadedLoader(data)


EMPTY: list[tuple[dict[str, Any], str]] = [
    ({"sampler": []}, "its sampler gives no indices"),
    ({"batch_sampler": []}, "its sampler gives no indices"),
    ({"batch_size": 9, "drop_last": True}, "drop_last leaves out 8 samples, .* no batch of 9"),
    ({"num_replicas": 20, "rank": 19}, "its sampler gives no indices"),
]


@pytest.mark.parametrize(("given", "why"), EMPTY)
def test_an_epoch_without_batches_is_told(given: dict[str, Any], why: str) -> None:
    for data in (range(8), []):
        loader = ThreadedLoader(TensorDataset(torch.tensor(data)), where="trainer", **given)
        why = why if data else "the dataset has no samples"
        with pytest.warns(RuntimeWarning, match=f"An epoch has no batches: {why}") as told:
            assert list(loader) == []
        assert len(told) == 1 and told[0].filename == __file__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("more", [{}, {"drop_last": True}, {"batch_size": 8, "drop_last": True}])
def test_an_epoch_with_batches_is_not(more: dict[str, Any]) -> None:
    assert list(ThreadedLoader(TensorDataset(torch.arange(8)), where="trainer", **more))
    assert list(ThreadedLoader(Stream(), where="trainer")), "of which nobody knows the length"


class Told(Stream):
    """A stream that says how long it is, rightly or not."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length


@pytest.mark.parametrize("where", ["trainer", "process"])
def test_an_epoch_of_what_was_gone_over_before_is_told(where: str) -> None:
    orders: list[dict[str, Any]] = [
        {"sampler": (index for index in range(8)), "batch_size": 2},
        {"batch_sampler": iter([[0, 1], [2]])},
    ]
    for order in orders:
        loader = ThreadedLoader(TensorDataset(torch.arange(8)), where=where, **order)
        with warnings.catch_warnings(action="error"):
            assert list(loader)
        said = "An epoch had no batches: its sampler gave no indices; what can be gone over only"
        with pytest.warns(RuntimeWarning, match=said) as told:
            assert list(loader) == []
        assert len(told) == 1 and told[0].filename == __file__
        with warnings.catch_warnings(action="error"), pytest.raises(RuntimeWarning, match=said):
            list(loader)  # and nothing is held up by that
        with pytest.warns(RuntimeWarning, match=said):
            assert list(loader) == []


@pytest.mark.parametrize("where", ["trainer", "process"])
def test_a_stream_that_is_longer_than_it_says_is_told(where: str) -> None:
    batches = len(list(ThreadedLoader(Stream(), 2, where=where)))
    count = len(list(ThreadedLoader(Stream(), 1, where=where)))
    said = f"The dataset's length promised 1 batches, and the epoch had {batches}"
    with pytest.warns(RuntimeWarning, match=said):
        assert len(list(ThreadedLoader(Told(2), 2, where=where))) == batches
    with warnings.catch_warnings(action="error"):
        for length in (count, count + 9):
            assert len(list(ThreadedLoader(Told(length), 2, where=where))) == batches


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
@pytest.mark.parametrize("index", [8, 99, -9])
def test_an_index_beyond_the_end_is_refused_before_the_epoch(
    kind: Any, index: int, folder: Path
) -> None:
    first = Subset(CentreCrops(folder, size=8), range(8))
    for data in (first, TensorDataset(torch.arange(8)), list(range(8))):
        for order in (kind([0, index]), range(index, 0) if index < 0 else range(index + 1)):
            with pytest.raises(BadArgument, match=r"sampler has the index -?\d+; .* only 8"):
                ThreadedLoader(data, sampler=order)
        assert len(ThreadedLoader(data, sampler=kind([0, 7, -8]))) == 3


class ByKey(Dataset[Any]):
    """Asked by numbers of its own, as records by their ids."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, key: int) -> int:
        return {100: 1, 200: 2}[key]


def test_a_dataset_of_keys_is_asked_by_them() -> None:
    loader = ThreadedLoader(ByKey(), batch_size=None, sampler=[100, 200], where="trainer")
    assert list(loader) == list(DataLoader(ByKey(), batch_size=None, sampler=[100, 200]))


@everywhere
def test_a_batch_sampler_that_gives_no_batches_is_refused(where: str) -> None:
    with pytest.raises(BadArgument, match="a batch is 0; give indices"):
        list(ThreadedLoader(Made("tensor"), batch_sampler=[0, 1], where=where))


@everywhere
@pytest.mark.parametrize("empty", [[], (), torch.arange(0)])
def test_an_empty_batch_is_refused_unless_it_is_collated_by_the_users_own(
    empty: Any, where: str
) -> None:
    order: Any = [[0, 1], empty]
    made = iter(ThreadedLoader(Made("tensor"), batch_sampler=order, where=where))
    assert len(next(made)) == 2
    with pytest.raises(BadArgument, match=r"a batch is \[\]; give at least one index"):
        next(made)
    own: Any = ThreadedLoader(Made("tensor"), batch_sampler=order, where=where, collate_fn=len)
    assert list(own) == [2, 0]


class Many(Made):
    def __getitems__(self, indices: Any) -> Any:
        return [self[index] for index in indices]


@everywhere
@pytest.mark.parametrize("data", [Made("tensor"), Many("tensor")])
def test_a_batch_sampler_may_give_whatever_can_be_iterated_over(data: Any, where: str) -> None:
    views: list[Any] = [{0: 2, 1: 3}.keys(), {0: 2, 1: 3}.values(), memoryview(b"\4\5"), {6: 7}]
    made = ThreadedLoader(data, batch_sampler=[*views, iter([8, 9])], where=where)
    same(list(made), list(DataLoader(data, batch_sampler=[*views, [8, 9]])))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_program_that_starts_again_in_the_process_is_told_what_to_do(
    method: str, tmp_path: Path, nursery: Nursery
) -> None:
    """By forkserver, which is the usual way under Python 3.14, its server ends before it begins."""
    program = (
        "import torch\n"
        "from datasets_impl import ThreadedLoader\n"
        "numbers = torch.utils.data.TensorDataset(torch.arange(8))\n"
        f"for _ in ThreadedLoader(numbers, 4, where='process', start_method='{method}'):\n"
        "    pass\n"
    )
    code, said = nursery.program(tmp_path, program).wait(), (tmp_path / "err").read_text()
    *_, last = said.strip().splitlines()
    assert code == 1 and "what it printed before says why" in last, said
    assert "if __name__ ==" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [("prefetch_factor", -4), ("threads", -1), ("where", "trainer"), ("in_order", None)],
)
def test_what_a_loader_was_made_with_stays(name: str, value: Any) -> None:
    """A prefetch factor of -4 would make an epoch of nothing, and -1 threads one without end."""
    made = ThreadedLoader(Made("tuple"), where="process", threads=2)
    before = getattr(made, name)
    with pytest.raises(BadArgument, match=f"^{name} .* make another"):
        setattr(made, name, value)
    assert getattr(made, name) == before


def test_a_framework_may_say_how_the_process_begins() -> None:
    made = pickle.loads(pickle.dumps(ThreadedLoader(Made("tuple"), sys.maxsize)))
    made.worker_init_fn = print  # Lightning does
    assert made.worker_init_fn is print and made.batch_size == sys.maxsize
