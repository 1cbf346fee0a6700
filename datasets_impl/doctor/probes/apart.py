"""A picture and its mask to which the same random transform is applied twice, drawn anew each time.

While samples are read, the transforms of torchvision that move pixels are noted, each with what it
was given and the state that it drew from. Whether two of these states would have moved the pixels
alike is seen on a picture of their places.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.epochs import has
from datasets_impl.doctor.probes.own_lines import users_place
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.source_lines import line_at
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.probes.target import Subject

HOMES = ("torchvision.transforms.transforms", "torchvision.transforms.v2")
MOVING = (
    "RandomCrop", "RandomResizedCrop", "RandomHorizontalFlip", "RandomVerticalFlip",
    "RandomRotation", "RandomAffine", "RandomPerspective",
)  # fmt: skip
LEAST = 3  # samples
AGAIN = 4  # times that each is read until a draw differs: two flips are often the same
LABELS = ("P", "1")  # modes of pictures whose pixels are classes


@dataclass(frozen=True)
class Call:
    transform: Any
    size: tuple[int, int]
    kind: str  # of picture
    state: torch.Tensor  # of PyTorch's generator, which torchvision draws from
    place: tuple[str, int]


Pair = tuple[Call, Call]


def apart(subject: Subject, some: Sequence[int], until: float) -> dict[str, Any]:
    """What drew anew for the mask, in how many of the reads, and where.

    Empty where it did so in none, or where not all samples hold two kinds of picture of one size:
    pairs of pictures may well be moved apart.
    """
    transforms: set[Any] = {
        kind for home in HOMES for name in MOVING
        if isinstance(kind := getattr(sys.modules.get(home), name, None), type)
    }  # fmt: skip
    calls, pairs, seen = list[Call](), list[list[Pair]](), list[Pair]()
    stand_ins = [(Callee("", one, "forward"), _noting(one.forward, calls)) for one in transforms]
    with contextlib.suppress(*RAISED), all_replaced(stand_ins):
        for index in AGAIN * list(some) if stand_ins else ():
            calls.clear()
            subject.read(index)
            found = list(_pairs(calls))
            pairs.append(found)
            seen += [pair for pair in found if _moved_apart(*pair)][:1]
            late = len(pairs) >= LEAST and clock.perf_counter() > until
            if not found or late or (seen and len(pairs) >= max(LEAST, len(some))):
                break
    if len(pairs) < LEAST or not all(pairs) or not seen:
        return {}
    lines = dict.fromkeys(call.place for call in seen[0])
    return {
        "name": type(seen[0][1].transform).__name__,
        "times": len(seen),
        "read": len(pairs),
        "lines": [line_at(*place) for place in lines],
    }


def _noting(original: Callable[..., Any], calls: list[Call]) -> Callable[..., Any]:
    def forward(self: Any, *given: Any, **options: Any) -> Any:
        found = _picture(given[0]) if len(given) == 1 and not options else None
        if found:
            calls.append(Call(self, *found, torch.get_rng_state(), users_place()))
        return original(self, *given, **options)

    return forward


def _picture(thing: Any) -> tuple[tuple[int, int], str] | None:
    """Height and width of a picture, and what kind it is: in colour, grey, or of classes."""
    if isinstance(thing, torch.Tensor):
        if thing.ndim < 2:
            return None
        classes = type(thing).__name__ == "Mask" or thing.dtype in (torch.int64, torch.bool)
        colours = thing.shape[-3] if thing.ndim > 2 else 1
        size = int(thing.shape[-2]), int(thing.shape[-1])
    elif has(thing, "getbands"):  # of Pillow
        classes, colours = thing.mode in LABELS, len(thing.getbands())
        size = thing.height, thing.width
    else:
        return None
    return size, "classes" if classes else "colour" if colours > 2 else "grey"


def _pairs(calls: Sequence[Call]) -> Iterator[Pair]:
    for one, other in combinations(calls, 2):
        alike = type(one.transform) is type(other.transform) and one.size == other.size
        if alike and one.kind != other.kind:
            yield one, other


def _moved_apart(one: Call, other: Call) -> bool:
    places = torch.arange(one.size[0] * one.size[1], dtype=torch.float32).reshape(1, *one.size)
    moved = []
    with torch.random.fork_rng(devices=[]), contextlib.suppress(*RAISED):
        for call in (one, other):
            torch.set_rng_state(call.state)
            moved.append(one.transform(places))
    return len(moved) == 2 and not torch.equal(*moved)
