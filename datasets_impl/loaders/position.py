"""Where a loader stands: all that is needed to give exactly what remains of an epoch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from datasets_impl.arguments import flag, whole_number
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.drawn import OUT_OF_ORDER, Drawn
from datasets_impl.loaders.reading import stateful

MOST_EPOCH = 2**62  # that seeds of 64 bits are made from, and counted on from


@dataclass
class Position:
    """How far an epoch has come, and from what its order was drawn.

    All of the first `given` batches were handed out, and those in `beyond` that were ready before
    an earlier one. `generators` are the states, before the first draw, of PyTorch's own generator
    and of those that the samplers use; `order` and `dataset` are what those said that have a
    `state_dict` of their own. `drawn` is where the generators stood that the dataset draws from
    (`Drawn`), where that is known, or OUT_OF_ORDER.
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
        for name, now in describes.items():
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
        if not self.describes or not isinstance(self.describes, dict):
            raise ValueError("it describes no loader")


class Order:
    """The indices of each epoch, drawn from samplers and generators exactly as `DataLoader` does.

    Args:
        samplers: the one that is iterated over, and those it is made of.
        generator: what the loader draws an epoch's seed from; PyTorch's own where it is None.
    """

    def __init__(self, samplers: list[Any], generator: torch.Generator | None) -> None:
        self.samplers = samplers
        self.generator = generator

    def set_epoch(self, epoch: int) -> None:
        for sampler in self.samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def position(self, epoch: int, describes: dict[str, Any]) -> Position:
        """The beginning of an epoch that would begin now."""
        states = [generator.get_state() for generator in self._generators()]
        return Position(epoch, self._epoch(), states, describes=describes)

    def restore(self, at: Position) -> None:
        """Set samplers and their generators to where they stood, but for PyTorch's own generator,
        which the trainer draws from too.

        Raises:
            BadArgument: there are others.
        """
        if at.sampler_epoch is not None:
            try:
                self.set_epoch(at.sampler_epoch)
            except ValueError as error:
                raise BadArgument(f"state's sampler_epoch fits no sampler: {error}") from error
        generators = self._generators()
        if len(generators) != len(at.generators):
            raise BadArgument(
                "state is of a loader whose samplers draw from other generators; build the loader "
                "with the same arguments."
            )
        try:
            for generator, state in zip(generators[1:], at.generators[1:], strict=True):
                generator.set_state(state)
        except (TypeError, RuntimeError) as error:
            raise BadArgument(f"state does not fit the loader's generators ({error}).") from error

    def begin(self) -> tuple[Iterator[Any], int]:
        """The batches' indices and the epoch's seed."""
        indices = iter(self.samplers[0])
        seed = (
            torch.empty((), dtype=torch.int64, device="cpu")
            .random_(generator=self.generator)
            .item()
        )
        return indices, int(seed)

    def resume(self, at: Position) -> tuple[Iterator[Any], int]:
        """The same for what remains of an epoch. PyTorch's own generator stays as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(at.generators[0])
            before = stateful(*self.samplers)
            if at.order is not None and before is not None:
                before.load_state_dict(at.order)
            indices, seed = self.begin()
            if at.order is not None and before is None:
                after = stateful(indices)
                if after is None:
                    raise BadArgument(
                        "state is of a loader whose sampler has a `state_dict`; build the loader "
                        "with the same arguments."
                    )
                after.load_state_dict(at.order)
            if at.order is None:
                # One more than are skipped, since a sampler draws when the first is taken.
                taken = list(itertools.islice(indices, at.given + 1))
                indices = itertools.chain(taken[at.given :], indices)
        return indices, seed

    def teller(self, indices: Iterator[Any]) -> Callable[[], Any]:
        """Says what the sampler says of itself after the index that it gave last, or None."""
        holder = stateful(*self.samplers, indices)
        return lambda: None if holder is None else copy.deepcopy(holder.state_dict())

    def _epoch(self) -> int | None:
        for sampler in self.samplers:
            if hasattr(sampler, "set_epoch") and isinstance(getattr(sampler, "epoch", None), int):
                return int(sampler.epoch)
        return None

    def _generators(self) -> list[torch.Generator]:
        own = [self.generator, *(getattr(each, "generator", None) for each in self.samplers)]
        found = [torch.default_generator]
        for generator in own:
            if isinstance(generator, torch.Generator) and generator not in found:
                found.append(generator)
        return found
