"""What a trainer changes between epochs reaches the next, wherever it is kept."""

from __future__ import annotations

import gc
import os
import random
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageFile
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datasets_impl import ThreadedLoader
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.sent import MOST_ITEMS, Sent
from tests.samples import everywhere

SCALE = 1
SCALES = {"one": 1}
ENVIRONMENT = "TEST_LOADER_SENT"


class Settings:
    scale = 1


class Scaled:
    """A transform."""

    def __init__(self) -> None:
        self.scale = 1

    def __call__(self, value: int) -> int:
        return value * self.scale


def by_variable() -> int:
    return SCALE


class Held(Dataset[int]):
    """A sample is the product of all that may change."""

    def __init__(self) -> None:
        self.scaled = Scaled()
        self.chain = [self.scaled, partial(pow, exp=1)]
        self.settings: dict[str, Any] = {"scale": 1, "deep": [{"scale": 1}]}
        self.values = [1]
        self.long = [1] * (MOST_ITEMS + 1)
        self.array = np.ones(2)
        self.tensor = torch.ones(2**16)
        self.options = SimpleNamespace(scale=1, more=Namespace(scale=1))
        self.drawn = random.Random(0)
        self.state = self.drawn.getstate()

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        value = self.scaled(self.settings["scale"] * self.settings["deep"][0]["scale"])
        value *= self.values[-1] * self.long[-1] * int(self.array[0]) * int(self.tensor[0])
        value *= self.options.scale * self.options.more.scale * by_variable() * SCALES["one"]
        value *= int(torch.ones(()).element_size() // 4)
        value *= 2 if ImageFile.LOAD_TRUNCATED_IMAGES else 1
        value *= Settings.scale * int(os.environ.get(ENVIRONMENT, "1"))
        return value * (1 if self.drawn.getstate() == self.state else 2)


def item(holder: Any, name: Any) -> None:
    holder[name] = 2


CHANGES: dict[str, Callable[[Held, pytest.MonkeyPatch], None]] = {
    "an attribute's attribute": lambda held, patch: setattr(held.scaled, "scale", 2),
    "an item": lambda held, patch: item(held.settings, "scale"),
    "an item deep inside": lambda held, patch: item(held.settings["deep"][0], "scale"),
    "a list's item": lambda held, patch: item(held.values, 0),
    "a long list's length": lambda held, patch: held.long.append(2),
    "an array": lambda held, patch: item(held.array, slice(None)),
    "a tensor": lambda held, patch: item(held.tensor, slice(None)),
    "a namespace": lambda held, patch: setattr(held.options, "scale", 2),
    "arguments": lambda held, patch: setattr(held.options.more, "scale", 2),
    "random numbers": lambda held, patch: held.drawn.seed(1),
    "a variable": lambda held, patch: patch.setitem(globals(), "SCALE", 2),
    "a variable's item": lambda held, patch: patch.setitem(SCALES, "one", 2),
    "a class": lambda held, patch: patch.setattr(Settings, "scale", 2),
    "PyTorch's dtype": lambda held, patch: torch.set_default_dtype(torch.float64),
    "Pillow": lambda held, patch: patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    "the environment": lambda held, patch: patch.setenv(ENVIRONMENT, "2"),
}


@pytest.fixture(autouse=True)
def same_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@everywhere
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_arrives_as_in_a_data_loader(
    change: Callable[[Held, pytest.MonkeyPatch], None],
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    options: Any = {"start_method": "fork"} if where == "process" else {}
    plain = DataLoader(held, 4, num_workers=1, multiprocessing_context="fork")
    with ThreadedLoader(held, 4, where=where, **options) as loader:
        for expected in ([1] * 4, [2] * 4):
            assert [batch.tolist() for batch in loader] == [expected]
            assert [batch.tolist() for batch in plain] == [expected]
            if expected == [1] * 4:
                change(held, monkeypatch)


def as_they_are(samples: list[int]) -> list[int]:
    return samples


def process_of(loader: ThreadedLoader[Any]) -> Any:
    place: Any = loader._places.now
    return place.process.pid


@pytest.mark.parametrize(
    "method",
    ["fork", *(pytest.param(name, marks=pytest.mark.slow) for name in ("forkserver", "spawn"))],
)
def test_nothing_starts_anew_where_nothing_has_changed(method: str) -> None:
    """Pickling a dataset alone writes into its class."""
    held = Held()
    with ThreadedLoader(held, 4, collate_fn=as_they_are, start_method=method) as loader:
        processes = set()
        for _ in range(3):
            assert list(loader) == [[1] * 4]
            processes.add(process_of(loader))
            held.values[0] = int("1")
        assert len(processes) == 1


def test_a_shared_tensor_needs_no_new_process() -> None:
    held = Held()
    held.tensor.share_memory_()
    with ThreadedLoader(held, 4, start_method="fork") as loader:
        assert [batch.tolist() for batch in loader] == [[1] * 4]
        process = process_of(loader)
        held.tensor[:] = 2
        assert [batch.tolist() for batch in loader] == [[2] * 4]
        assert process_of(loader) == process


def test_the_folder_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Folder(Dataset[str]):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> str:
            return str(Path.cwd())

    with ThreadedLoader(Folder(), start_method="fork") as loader:
        assert list(loader) == [[str(Path.cwd())]]
        monkeypatch.chdir(tmp_path)
        assert list(loader) == [[str(tmp_path)]]


class Initialised(Held):
    def __getitem__(self, index: int) -> int:
        info: Any = get_worker_info()
        return int(info.dataset.scale)


def setting(scale: int, cell: list[int] | None = None) -> Callable[[int], None]:
    def init(worker: int) -> None:
        info: Any = get_worker_info()
        info.dataset.scale = scale if cell is None else cell[0]

    return init


def test_another_worker_init_fn_arrives() -> None:
    with ThreadedLoader(Initialised(), 4, start_method="fork", worker_init_fn=setting(1)) as loader:
        assert [batch.tolist() for batch in loader] == [[1] * 4]
        loader.worker_init_fn = setting(2)
        assert [batch.tolist() for batch in loader] == [[2] * 4]
        loader.worker_init_fn = setting(0, cell := [3])
        assert [batch.tolist() for batch in loader] == [[3] * 4]
        cell[0] = 4
        assert [batch.tolist() for batch in loader] == [[4] * 4]


@everywhere
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("collate_fn", list),
        ("dataset", Held()),
        ("batch_size", 2),
        ("sampler", [0]),
        ("batch_sampler", [[0]]),
        ("drop_last", True),
        ("generator", torch.Generator()),
        ("timeout", 1),
        ("epoch", "x"),
        ("epoch", -1),
        ("epoch", 1.5),
        ("worker_init_fn", 3),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(name: str, value: Any, where: str) -> None:
    loader: Any = ThreadedLoader(Held(), 4, where=where)
    with pytest.raises(BadArgument, match=rf"^{name} .*\.$"):
        setattr(loader, name, value)
    loader.epoch = 3
    assert [batch.tolist() for batch in loader] == [[1] * 4] and loader.epoch == 4


class Strange:
    """Of each kind of object that raises when it is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = object.__hash__


class Endless(list[Any]):
    def __len__(self) -> int:
        raise RuntimeError


def test_whatever_is_held_is_looked_at_in_bounded_time() -> None:
    held: Any = Held()
    held.itself = held
    held.strange = [Strange(), Endless(), random.SystemRandom()]
    with torch.inference_mode():
        held.inference = torch.ones(2)
    wide: Any = [0]
    for _ in range(5):
        wide = [list(wide) for _ in range(MOST_ITEMS)]
        held.wide = wide
    gc.collect()
    sent = Sent(held)
    assert not sent.differs(held)
    assert sum(map(len, sent._facts)) < 10**5
