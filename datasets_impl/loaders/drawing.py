"""The indices of each epoch, drawn as `DataLoader` draws them, and again after a stop."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data.dataloader import _InfiniteConstantSampler

from datasets_impl import optional
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.drawn import Drawn
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loaders.position import Position
from datasets_impl.loaders.reading import stateful
from datasets_impl.loaders.sources import chained, kept, put_back, rank, sources, standing


class Order:
    """The indices of each epoch, drawn from samplers and generators exactly as `DataLoader` does.

    Args:
        samplers: the one that is iterated over, and those it is made of.
        generator: what the loader draws an epoch's seed from; PyTorch's own where it is None.
    """

    def __init__(self, samplers: list[Any], generator: torch.Generator | None) -> None:
        self.samplers = samplers
        self.generator = generator
        self._known: int | None = 0  # the samplers' epoch, but for what others told them

    def told(self) -> int | None:
        """The epoch that others told a sampler since the loader did, None where nobody did."""
        now = self._epoch()
        return now if now != self._known else None

    def know(self) -> None:
        self._known = self._epoch()

    def tell_own(self, epoch: int) -> None:
        """Samplers of this package, which count with the loader."""
        for sampler in self.samplers:
            if isinstance(sampler, ShardedShuffle):
                sampler.set_epoch(epoch)

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Around a draw: a sampler may count its epochs by itself, and then nobody told it."""
        told = self.told()
        try:
            yield
        finally:
            if told is None:
                self.know()

    def set_epoch(self, epoch: int) -> None:
        for sampler in self.samplers:
            tell = optional.method(sampler, "set_epoch")
            if tell is not None:
                tell(epoch)

    def position(self, epoch: int, describes: dict[str, Any]) -> Position:
        """The beginning of an epoch that would begin now."""
        states = [generator.get_state() for generator in self._generators()]
        found = Position(epoch, self._epoch(), states, describes=describes)
        found.sources = [standing(each) for each in self._sources()]
        found.taken = {} if self._compares() else None
        return found

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
            if at.sources is not None:
                put_back(self._sources(), at.sources)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise BadArgument(f"state does not fit the loader's generators ({error}).") from error
        self.know()

    def begin(self, position: Position | None = None) -> tuple[Iterator[Any], int]:
        """The batches' indices and the epoch's seed.

        Args:
            position: is told where Python's and NumPy's generators stood, if that draws from them.
        """
        if position is not None and position.taken is not None:
            return self._begin_watched(position)
        with self.drawing():
            indices = iter(self.samplers[0])
        seed = (
            torch.empty((), dtype=torch.int64, device="cpu")
            .random_(generator=self.generator)
            .item()
        )
        return indices, int(seed)

    def _begin_watched(self, position: Position) -> tuple[Iterator[Any], int]:
        before = Drawn.now()
        indices, seed = self.begin()
        if stateful(indices) is None:
            # A sampler may draw when the first is taken, and what the dataset draws comes later.
            with self.drawing():
                first = list(itertools.islice(indices, 1))
            indices = itertools.chain(first, indices)
        if Drawn.now()[:2] != before[:2]:
            position.shared = tuple(before)
        return indices, seed

    def resume(self, at: Position) -> tuple[Iterator[Any], int]:
        """The same for what remains of an epoch. The generators that the trainer draws from, too,
        stay as they are.

        Raises:
            BadArgument: the sampler gives other indices than before.
        """
        with torch.random.fork_rng(devices=[]):
            now = Drawn.now()
            try:
                if at.shared is not None:
                    Drawn(*at.shared).restore()
                torch.random.set_rng_state(at.generators[0])
                return self._resume(at)
            finally:
                if at.shared is not None:
                    now.restore()

    def _resume(self, at: Position) -> tuple[Iterator[Any], int]:
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
            with self.drawing():
                indices = self._rest(indices, at)
        return indices, seed

    def _rest(self, indices: Iterator[Any], at: Position) -> Iterator[Any]:
        """What comes after the batches that were handed out, which are held to those of before:
        not in a process of another rank, which has its own."""
        said, found, rest = "", {}, []
        most = max([at.given, *(at.taken or {})])
        # One more than are skipped, since a sampler draws when the first is taken.
        for count, each in enumerate(itertools.islice(indices, most + 1), 1):
            if at.taken and count <= most:
                found[count] = said = chained(said, each := kept(each))
            if count > at.given:  # a sampler may use its list again
                rest.append(copy.deepcopy(each) if count <= most else each)
        mine = at.describes.get("rank") == rank(self.samplers)
        if mine and any(found.get(count) != said for count, said in (at.taken or {}).items()):
            name = type(self.samplers[-1]).__name__
            raise BadArgument(
                f"The sampler {name} gives other indices than before the stop, so samples would "
                "be repeated and others left out; let it draw from a torch.Generator that it has "
                "as its `generator`, or give it a `state_dict` and `load_state_dict` of its own."
            )
        return itertools.chain(rest, indices)

    def teller(self, indices: Iterator[Any]) -> Callable[[], Any]:
        """Says what the sampler says of itself after the index that it gave last, or None."""
        holder = stateful(*self.samplers, indices)
        return lambda: None if holder is None else copy.deepcopy(holder.state_dict())

    def _epoch(self) -> int | None:
        for sampler in self.samplers:
            said = optional.value(sampler, "epoch")
            if isinstance(said, int) and optional.has(sampler, "set_epoch"):
                return int(said)
        return None

    def _compares(self) -> bool:
        """Whether indices are drawn again after a stop: a stream has none, and some samplers go on
        from a state of their own."""
        streams = any(isinstance(each, _InfiniteConstantSampler) for each in self.samplers)
        return not streams and stateful(*self.samplers) is None

    def _sources(self) -> list[Any]:
        """Other generators that samplers hold, under any name."""
        known = self._generators()
        found = sources(self.samplers)
        return [each for each in found if not any(each is other for other in known)]

    def _generators(self) -> list[torch.Generator]:
        own = [self.generator, *(optional.value(each, "generator") for each in self.samplers)]
        found = [torch.default_generator]
        for generator in own:
            if isinstance(generator, torch.Generator) and generator not in found:
                found.append(generator)
        return found
