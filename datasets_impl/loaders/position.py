"""Where a loader stands: all that is needed to give exactly what remains of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from datasets_impl.arguments import flag, whole_number
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.drawn import OUT_OF_ORDER, Drawn

MOST_EPOCH = 2**62  # that seeds of 64 bits are made from, and counted on from
OF_RANK = ("indices",)  # facts that differ between processes which load the state of one


@dataclass
class Position:
    """How far an epoch has come, and from what its order was drawn.

    All of the first `given` batches were handed out, and those in `beyond` that were ready before
    an earlier one. `generators` are the states, before the first draw, of PyTorch's own generator
    and of those that the samplers use; `order` and `dataset` are what those said that have a
    `state_dict` of their own. `drawn` is where the generators stood that the dataset draws from
    (`Drawn`), where that is known, or OUT_OF_ORDER.

    `sources` is where other generators stood that samplers hold, and `shared` a `Drawn` where the
    sampler draws from Python's or NumPy's own. `taken` has digests of the first so many batches'
    indices, for what a sampler draws elsewhere; a state of before has none of these.
    """

    epoch: int
    sampler_epoch: int | None
    generators: list[torch.Tensor]
    begun: bool = False
    given: int = 0
    beyond: dict[int, Any] = field(default_factory=dict)
    order: Any = None
    dataset: Any = None
    drawn: Any = None
    describes: dict[str, Any] = field(default_factory=dict)
    sources: list[Any] | None = None
    shared: Any = None
    taken: dict[int, str] | None = None

    def has(self, number: int) -> bool:
        """Whether batch `number` has been handed out."""
        return number < self.given or number in self.beyond

    def after(self, number: int, order: Any) -> tuple[int, dict[int, Any], Any]:
        """`given`, `beyond` and `order` once batch `number` is handed out, from what the sampler
        said after it."""
        given, beyond, last = self.given, {**self.beyond, number: order}, self.order
        while given in beyond:
            last = beyond.pop(given)
            given += 1
        return given, beyond, last

    @classmethod
    def of(cls, state: Any, describes: dict[str, Any]) -> Position:
        """
        Raises:
            BadArgument: it is no state, or one of a loader that is described otherwise.
        """
        try:
            found = cls(**state)
            found._require_kinds()
        except (TypeError, ValueError, RuntimeError):
            raise BadArgument(
                "state is not what `state_dict()` of a ThreadedLoader returned; give that, written "
                "by `torch.save` or pickle."
            ) from None
        here = found.describes.get("rank") == describes.get("rank")
        for name, now in describes.items():
            if name == "rank" or (name in OF_RANK and not here):
                continue
            then = found.describes.get(name, now)  # states of before say less
            if then != now:
                raise BadArgument(
                    f"state is of a loader with {name} {then}, and this one has {now}; build the "
                    "loader with the same arguments over the same samples."
                )
        return found

    def warnings(self, dataset: Any, streams: bool, in_order: bool) -> Iterator[str]:
        """What a user may not expect of the rest of the epoch.

        Args:
            streams: the dataset is iterable.
            in_order: one thread draws random numbers from generators that nobody else draws from.
        """
        name = type(dataset).__name__
        if not self.begun or not self.given:
            return
        if streams and self.dataset is None:
            yield (
                f"{name} has no state_dict and load_state_dict, so the {self.given:,} batches "
                "before are read again and left out."  # and what they draw is drawn again
            )
        elif self.drawn == OUT_OF_ORDER or (self.drawn is not None and not in_order):
            other = "" if streams else 'give where="process" and threads=1, or '
            yield (
                f"Samples of {name} draw random numbers, and those that remain will draw other "
                f"ones than without the stop; {other}let what is random depend on index and epoch "
                "alone, as in RandomCrops."
            )

    def _require_kinds(self) -> None:
        """
        Raises:
            TypeError, ValueError, RuntimeError: a field holds what none can.
        """
        whole_number("epoch", self.epoch, 0, MOST_EPOCH)
        if self.sampler_epoch is not None:
            whole_number("sampler_epoch", self.sampler_epoch, -MOST_EPOCH, MOST_EPOCH)
        whole_number("given", self.given, 0)
        flag("begun", self.begun)
        if self.sampler_epoch is not None:
            whole_number("sampler_epoch", self.sampler_epoch)
        for number in dict(self.beyond):
            whole_number("beyond", number, 0)
        first, *_ = self.generators
        torch.Generator().set_state(first)
        if self.drawn is not None and self.drawn != OUT_OF_ORDER:
            Drawn(*self.drawn).require_kinds()
        if self.shared is not None:
            Drawn(*self.shared).require_kinds()
        for count, said in (self.taken or {}).items():
            whole_number("taken", count, 1)
            if not isinstance(said, str):
                raise TypeError("a digest is a text")
        if not self.describes or not isinstance(self.describes, dict):
            raise ValueError("it describes no loader")
