"""Arguments: what can be meant comes back in its plain type; all else is refused by name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import datasets_impl
from datasets_impl import arguments, convert, corpus
from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.formats import pack
from datasets_impl.formats.remote import RemoteFolder, RemotePack

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


ABSENT, TAKES_FLAGS = "memory://absent", {
    "RemoteFolder": ("labelled",), "CentreCrops": ("scaled", "apply_exif_orientation"),
    "RandomCrops": ("flip", "scaled", "fast", "apply_exif_orientation"),
    "DecodedImages": ("apply_exif_orientation",), "StoredPixels": ("preload",),
    "ThreadedLoader": ("shuffle", "pin_memory", "drop_last", "in_order", "overwrite"),
    "ensure_stored": ("progress",), "convert_to_shards": ("labelled", "progress"),
    "ensure_corpus": ("progress", "verify"), "PackImages": ("verify",),
}  # fmt: skip
TAKEN = {**vars(datasets_impl), **vars(convert), **vars(corpus), **vars(pack)}
FIRST: dict[str, tuple[Any, ...]] = {
    "RemoteFolder": (ABSENT,),
    "ThreadedLoader": ([1, 2],),
    "ensure_stored": (["one.jpg"], "jpeg", "pack"),
    "convert_to_shards": (["one.jpg"], "set"),
    "ensure_corpus": (corpus.CorpusSpec(1, 8),),
    "PackImages": ("absent",),
}


def _public(name: str) -> Any:
    return TAKEN.get(name) or getattr(datasets_impl, name)


def test_every_flag_of_a_public_name_is_tried() -> None:
    for name in {*datasets_impl.__all__, *TAKES_FLAGS} - {"StudyError"}:
        asked = inspect.signature(_public(name)).parameters.values()
        flags = [each.name for each in asked if str(each.annotation).startswith("bool")]
        assert sorted(flags) == sorted(TAKES_FLAGS.get(name, ())), name


@pytest.mark.parametrize("name", TAKES_FLAGS)
def test_the_text_false_is_not_taken_for_true(name: str) -> None:
    """It is refused before a file is looked for."""
    for flag in TAKES_FLAGS[name]:
        with pytest.raises(BadArgument, match=f"^{flag} is 'False'; give True or False"):
            _public(name)(*FIRST.get(name, (["one.jpg"],)), **{flag: "False"})


@pytest.mark.parametrize("value", ["anon=True", "{}", "", [], 3, {1: 2}])
def test_storage_options_are_a_dictionary(value: Any) -> None:
    for taken in (RemoteFolder, RemotePack, lambda at, more: convert_to_shards(at, at, **more)):
        more: Any = value if taken in (RemoteFolder, RemotePack) else {"storage_options": value}
        with pytest.raises(BadArgument, match=r"^storage_options is .*; give a dictionary"):
            taken(ABSENT, more)
    with pytest.raises(BadArgument, match=r"^config_kwargs is .*; give a dictionary"):
        RemoteFolder("s3://absent", {"config_kwargs": value})


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
