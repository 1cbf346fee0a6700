"""Arguments: what can be meant comes back in its plain type; all else is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from datasets_impl import arguments
from datasets_impl.errors import BadArgument, StudyError

NOT_WHOLE: list[Any] = [2.5, 2.0, "64", None, True, np.True_, torch.tensor(True), [3], np.nan]
MANY = torch.arange(3)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3), np.array(3)])
def test_whole_numbers_of_any_library(value: Any) -> None:
    found = arguments.positive_int("batch_size", value)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [0, -3, *NOT_WHOLE, MANY], ids=repr)
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(BadArgument, match=r"^batch_size is .*; give a whole number of at least 1"):
        arguments.positive_int("batch_size", value)


def test_ranges_and_hints_are_said() -> None:
    with pytest.raises(StudyError, match=r"threads is 9; give a whole number from 1 to 8, or None"):
        arguments.positive_int("threads", 9, 8, ", or None")
    with pytest.raises(ValueError, match=r"seed is 'x'; give a whole number\."):
        arguments.seed("x")
    assert arguments.seed(-5) == -5 and arguments.seed(2**64) == 2**64
    assert arguments.whole_number("ahead", 0, 0) == 0


@pytest.mark.parametrize("value", [True, np.False_, torch.tensor(True)])
def test_flags(value: Any) -> None:
    assert arguments.flag("drop_last", value) is bool(value)


@pytest.mark.parametrize("value", ["False", 0, 1, None, np.array([True])])
def test_what_only_counts_as_true_is_refused(value: Any) -> None:
    with pytest.raises(BadArgument, match=r"drop_last is .*; give True or False"):
        arguments.flag("drop_last", value)


@pytest.mark.parametrize("value", ["b", None, 3, ["a"]])
def test_names_that_are_not_there(value: Any) -> None:
    assert arguments.one_of("medium", "a", ("a", "c")) == "a"
    with pytest.raises(BadArgument, match=r"medium is .*; give one of a, c"):
        arguments.one_of("medium", value, ("a", "c"))


@pytest.mark.parametrize("value", [(0, 1), (1, 0.5), (0.5, 2), 3, "ab", (1,), (1, 1, 1), None,
                                   (float("nan"), 1)])  # fmt: skip
def test_intervals(value: Any) -> None:
    assert arguments.interval("scale", [0.5, 1], 1) == (0.5, 1.0)
    with pytest.raises(BadArgument, match=r"scale is .*; give two numbers above 0 and at most 1"):
        arguments.interval("scale", value, 1)


def test_a_long_value_is_cut_and_stands_in_one_line() -> None:
    with pytest.raises(
        BadArgument, match=r"^batch_size is tensor\(\[\[0., 0.\], \[0., 0.\]\]\); give"
    ):
        arguments.positive_int("batch_size", torch.zeros(2, 2))
    with pytest.raises(BadArgument, match=r"…; give"):
        arguments.positive_int("batch_size", list(range(10_000)))
