"""An error arrives with the samples it is of, whichever way they are read and wherever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import IterableDataset

from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import Made, Stream, Written, everywhere

BAD = 5


class Many(Made):
    def __getitems__(self, indices: list[int]) -> list[Any]:
        if BAD in indices:
            raise OSError("no such file")
        return [self[index] for index in indices]


class Gathering(Written):
    """Samples written many at once."""

    def read_many_into(self, indices: list[int], into: Any) -> None:
        if BAD in indices:
            raise OSError("no such file")
        self._read_many_into(indices, into)


class Failing(IterableDataset[int]):
    """A stream with one bad sample."""

    def __iter__(self) -> Iterator[int]:
        for index in range(9):
            if index == BAD:
                raise OSError("no such file")
            yield index


class Going(Failing):
    """One that goes on after it, and from where it stood."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Going:
        return self

    def __next__(self) -> int:
        self.at += 1
        if self.at - 1 in (BAD, BAD + 2):
            raise OSError("no such file")
        return self.at

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def notes(batches: Any) -> list[str]:
    """Of the first error."""
    with pytest.raises((OSError, RuntimeError)) as found:
        list(batches)
    return list(getattr(found.value, "__notes__", []))


def refusing(_: Any) -> Any:
    raise OSError("no such file")


ORDER = {"batch_sampler": [[0, 1], [4, BAD, 6]]}
BY: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "many": (lambda: Many("tensor"), ORDER, "Raised for one of samples 4, 5, 6 of the dataset."),
    "gathered": (Gathering, ORDER, "Raised for one of samples 4, 5, 6 of the dataset."),
    "stream": (Failing, {"batch_size": 2}, "Raised for sample 5 of the stream."),
    "stream, unbatched": (Failing, {"batch_size": None}, "Raised for sample 5 of the stream."),
    "collated": (
        lambda: Made("ragged"),
        {"batch_sampler": [[0], [4, BAD, 6]]},
        "Raised when samples 4, 5, 6 of the dataset were collated.",
    ),
    "many, collated": (
        lambda: Many("ragged"),
        {"batch_sampler": [[0], [4, 2]]},
        "Raised when samples 4, 2 of the dataset were collated.",
    ),
    "unbatched": (
        lambda: Made("tensor"),
        {"batch_size": None, "collate_fn": refusing},
        "Raised when sample 0 of the dataset was collated.",
    ),
    "stream, collated": (
        Stream,
        {"batch_size": 2, "collate_fn": refusing},
        "Raised when samples 0, 1 of the stream were collated.",
    ),
    "none, collated": (
        lambda: Made("tensor"),
        {"batch_sampler": [[]], "collate_fn": refusing},
        "Raised when an empty batch was collated.",
    ),
}


@everywhere
@pytest.mark.parametrize(("data", "given", "said"), BY.values(), ids=BY)
def test_an_error_names_its_samples(
    data: Any, given: dict[str, Any], said: str, where: str
) -> None:
    more: Any = {"threads": 1, "where": where}
    if where == "process":
        more["start_method"] = "fork"
    assert notes(ThreadedLoader(data(), **given, **more)) == [said]


def test_a_thread_names_the_samples_that_it_gathers() -> None:
    found = notes(ThreadedLoader(Gathering(), 8, threads=2, where="trainer"))
    assert found == ["Raised for one of samples 4, 5, 6, 7 of the dataset."]


def test_of_a_long_batch_the_first_are_named() -> None:
    made = ThreadedLoader(torch.arange(10**6), 10**5, collate_fn=refusing, where="trainer")  # type: ignore[arg-type]
    (found,) = notes(made)
    assert found.startswith("Raised when samples 0, 1, 2, ") and len(found) < 600
    assert found.endswith(", … (100,000 in all) of the dataset were collated.")


def test_a_stream_that_goes_on_counts_on() -> None:
    made: Any = ThreadedLoader(Going(), 2, where="trainer", threads=1, prefetch_factor=0)
    batches, found = iter(made), []
    for _ in range(5):
        try:
            found.append(next(batches).tolist())
        except OSError as error:
            found.append(error.__notes__)
    sample = "Raised for sample {} of the stream."
    assert found == [[1, 2], [3, 4], [sample.format(5)], [sample.format(7)], [9, 10]]
    resumed: Any = ThreadedLoader(Going(), 2, where="trainer", threads=1, prefetch_factor=0)
    fresh: Any = ThreadedLoader(Going(), 2, where="trainer", threads=1, prefetch_factor=0)
    next(iter(fresh))
    resumed.load_state_dict(fresh.state_dict())
    assert notes(resumed) == ["Raised for sample 3 of the stream since it was resumed."]


@everywhere
def test_what_goes_well_is_not_touched(where: str) -> None:
    made: Any = ThreadedLoader(Many("tensor", 4), 2, where=where)
    assert [len(batch) for batch in made] == [2, 2]
