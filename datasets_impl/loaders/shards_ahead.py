"""Images of a pack in an object store, shard by shard, the next shards fetched meanwhile.

A shuffle over a whole set asks an object store for each image by itself, and each waits for the
first byte. Here whole shards come, one request each, into a cache that never holds more than its
bytes, so the line is busy and the wait is paid once a shard. The price is the order: an epoch takes
the shards in random order and mixes the images of a few at a time, as many as the cache has room
for. Memory holds the order: 12 bytes for each image.
"""

from __future__ import annotations

import copy
import os
import threading
from contextlib import suppress
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from datasets_impl import arguments
from datasets_impl.formats.remote import RemotePack
from datasets_impl.indexing import position
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.system.threads import lock_anew_in_forks

LEAST = 3  # shards in the cache: one that is read, one that was, one that comes
MOST_AHEAD = 4


class ShardsAhead(Dataset[Any]):
    """The samples of a dataset over a `RemotePack`, in an order that a small cache can follow.

    Give it to a loader without `shuffle` or a sampler: it is shuffled already, anew in each epoch.
    `ThreadedLoader` says which epoch it is; for a `DataLoader` call `set_epoch` yourself, and leave
    `persistent_workers` out.

    Args:
        dataset: such as `DecodedImages(pack)` or `RandomCrops(pack, size=224)`, of a `RemotePack`
            that has a cache.
        seed: of the order.

    `mixed` is how many shards a part of the order is drawn from, `ahead` how many are fetched
    before they are read.

    Raises:
        BadArgument: the dataset reads from something else, or fewer than three shards fit into the
            cache.
    """

    def __init__(self, dataset: ImageDataset, *, seed: int = 0) -> None:
        pack = getattr(dataset, "source", None)
        if not isinstance(dataset, ImageDataset) or not isinstance(pack, RemotePack):
            right = "a dataset of images over a RemotePack, such as DecodedImages(RemotePack(url))"
            raise arguments.refused("dataset", dataset, right)
        if pack.cache is None:
            right = "one over a RemotePack with cache= and cache_bytes=, where shards are kept"
            raise arguments.refused("dataset", dataset, right)
        room = pack.cache.most // max([1, *pack.sizes])
        if room < min(LEAST, len(pack.sizes)):
            need = LEAST * max(pack.sizes)
            right = f"at least {need:,}, three of its shards; or smaller shards (--shard-images)"
            raise arguments.refused("cache_bytes", pack.cache.most, right)
        self.dataset, self.pack, self.seed = dataset, pack, arguments.seed(seed)
        self.ahead = max(1, min(MOST_AHEAD, (room - 1) // 2))
        self.mixed = max(1, room - 1 - self.ahead)
        self.classes = dataset.classes
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch, which depends on it and the seed alone."""
        self.epoch = arguments.whole_number("epoch", epoch, 0)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(self.epoch)
        count, each = len(self.pack), self.pack.each
        generator = np.random.default_rng((self.seed % 2**64, self.epoch))
        self._shards = generator.permutation(len(self.pack.sizes))
        place = np.empty_like(self._shards)  # of each shard in this epoch
        place[self._shards] = np.arange(len(place))
        places = place[np.arange(count) // each]
        # The images of the shard at place p are spread evenly from p to p + mixed. So when the
        # first image of place p comes, those of p - mixed are through.
        self._order = np.argsort(places + self.mixed * generator.random(count), kind="stable")
        newest: Any = np.maximum.accumulate(places[self._order])
        self._newest = newest.astype(np.int32)
        self._asked, self._owner = -1, os.getpid()  # the last place whose shard was asked for
        self._now = 0  # the last place that was begun
        self._asking = lock_anew_in_forks()

    def __copy__(self) -> ShardsAhead:
        """For another epoch, whose order is its own."""
        made: ShardsAhead = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, dataset=copy.copy(self.dataset))
        return made

    def __getstate__(self) -> dict[str, Any]:
        held = dict(self.__dict__)
        for name in ("_order", "_newest", "_shards", "_asking"):  # drawn again
            del held[name]
        return held

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.set_epoch(self.epoch)

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self._reached(index)]

    def sample_layout(self, index: int) -> Any:
        return self.dataset.sample_layout(self._reached(index))

    def read_into(self, index: int, into: Any) -> None:
        self.dataset.read_into(self._reached(index), into)

    def name(self, index: int) -> str:
        return self.dataset.name(int(self._order[index]))

    def _reached(self, index: int) -> int:
        """Which image it is; its shard is in the cache, and those after it are on their way."""
        index = position(index, len(self))
        image, newest = int(self._order[index]), int(self._newest[index])
        if not self.pack.holds(image // self.pack.each):
            self.pack.bring(image // self.pack.each, self._near(newest), wait=True)
        self._now = newest
        self._look_ahead(newest)
        return image

    def _near(self, newest: int) -> list[int]:
        """The shards to keep while that of place `newest` is the last that was begun."""
        near = self._shards[max(0, newest - self.mixed) : newest + self.ahead + 1]
        return [int(number) for number in near]

    def _look_ahead(self, newest: int) -> None:
        """Have shards fetched that come soon; the first of all had the line to itself."""
        last = min(newest + self.ahead, len(self._shards) - 1)
        if last <= self._asked and self._owner == os.getpid():
            return
        with self._asking:
            if self._owner != os.getpid():  # forked: the threads that fetch stayed behind
                self._asked, self._owner = -1, os.getpid()
            wanted = range(max(self._asked, newest) + 1, last + 1)
            self._asked = max(self._asked, last)
        for place in wanted:
            threading.Thread(target=self._bring, args=(place,), daemon=True).start()

    def _bring(self, place: int) -> None:
        if place < self._now:  # this thread comes too late
            return
        with suppress(Exception):  # who reads the shard tries again, and is told what is wrong
            near = self._near(place - self.ahead)
            self.pack.bring(int(self._shards[place]), near, wait=False)
