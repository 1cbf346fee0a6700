"""Where a loader's epoch stands: begun, told by others, saved, and gone on with."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.loaders import given
from datasets_impl.loaders.drawing import Order
from datasets_impl.loaders.epoch import Epoch, Unbegun
from datasets_impl.loaders.order import length
from datasets_impl.loaders.position import MOST_EPOCH, Position
from datasets_impl.loaders.told import Told

if TYPE_CHECKING:
    import threading

    from datasets_impl.loaders.described import Described


class Resumable:
    """The part of a loader that knows its epoch.

    Attributes:
        epoch: the one that begins next, from 0 on.
    """

    where: str
    threads: int
    prefetch_factor: int
    epoch: int = 0
    _plain: DataLoader[Any]
    _streams: bool
    _order: Order
    _told: Told
    _indices: given.Indices
    _beginning: threading.Lock
    _position: Position | None = None  # of the epoch that was begun last
    _resumed: Position | None = None  # of a state that the next epoch goes on from
    _described: Described | None = None  # when a state is first asked for

    def _begin(self, iterator: Unbegun) -> None:
        with self._beginning:  # several threads may iterate at once
            self._follow()
            resumed = self._resumed
            position = resumed or self._order.position(self.epoch, self._describes())
            self._told.last = self.epoch
            try:
                begun = self._new_epoch(position, resumed is not None)
            except BaseException:
                self._order.restore(position)  # the next attempt is to draw the same
                raise
            # Without a call between: a signal leaves all of it to be done, or nothing.
            mine = self.__dict__
            following = self.epoch + 1
            iterator.epoch, mine["_resumed"] = begun, None
            mine["epoch"] = following
            self._told.begun()

    def _follow(self) -> None:
        """Go on from the epoch that the dataset or a sampler was told by others: they, and the
        order, would else be of several epochs. A state's position is of its own epoch alone."""
        said = self._told.epoch()
        sampler = self._order.told()
        epoch = said if said is not None else sampler
        if epoch is not None and 0 <= epoch <= MOST_EPOCH:
            self.epoch = epoch
            if sampler is None:
                self._order.tell_own(epoch)
        self._keep_to_epoch()

    def _keep_to_epoch(self) -> None:
        at = self._resumed
        if at is not None and (
            self.epoch not in (at.epoch, at.sampler_epoch) or self._order.told() is not None
        ):
            self._resumed = None
        self._order.know()
        self._told.know()

    def _new_epoch(self, position: Position, resumed: bool) -> Epoch:
        raise NotImplementedError  # what a loader's batches are made by is its own

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands that was begun last, after the batch that was handed out last.

        It is what `torch.save` and pickle can write. After an epoch's last batch it is the
        beginning of the next one.
        """
        self._follow()
        position = self._resumed or self._position
        # Lightning asks for no batch after the last, which on demand is not known to be the last.
        counted = not self.prefetch_factor and not self._streams
        whole = position is not None and counted and position.given == length(self._plain)
        if position is None or not position.begun or whole:
            position = self._order.position(self.epoch, self._describes())
        state = copy.deepcopy(vars(position))
        state["describes"] |= self._samples()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration give exactly what remained of the epoch, in the same order.

        An iterable dataset needs `state_dict` and `load_state_dict` for that. Without them the
        batches that were handed out are read again and left out, and a RuntimeWarning says so.
        The state of PyTorch's own generator is the trainer's to restore.

        A dataset that draws from the generators of Python, NumPy or PyTorch, as torchvision's
        transforms do, draws what it would have drawn in the separate process with `threads=1`.
        Several threads, the trainer's process and a stream draw anew. There, let what is random
        depend on index and epoch (`set_epoch`) alone, as in this package's `RandomCrops`. The
        separate process sees whether samples draw, and a RuntimeWarning says so; in the trainer's
        process, which draws itself, that cannot be seen.

        Compared are batch size, order, with the lists and weights of PyTorch's samplers, and number
        of samples; the dataset's class, and of a `Subset` or `ConcatDataset` those inside; the
        `seed` of this package's datasets; and which samples there are: a `Subset`'s indices, the
        names of files in order (not what is in them) from the folder that all are in, or the
        digests of a stored set. Of a dataset of your own no more is known than its class, unless it
        is an `ImageFolder`, and of transforms, targets and sizes nothing; a state of an earlier
        version says less. Where a sampler then gives other indices for the batches before, which
        it draws neither from Python's, NumPy's and PyTorch's own generators nor from those that it
        holds, the next iteration is refused.

        Raises:
            BadArgument: it is no state, or one of a loader with other arguments or other samples.
        """
        position = Position.of(copy.deepcopy(state), self._describes() | self._samples())
        most = None if self._streams else length(self._plain)
        if most is not None and position.given > most:
            raise BadArgument(
                f"state says that {position.given:,} batches were handed out, and an epoch has "
                f"{most:,}; give what `state_dict()` returned."
            )
        self._order.restore(position)
        self.epoch = position.epoch
        self._position, self._resumed = None, position if position.begun else None
        self._told.know()
        in_order = self.where == "process" and self.threads == 1
        for said in position.warnings(self._plain.dataset, self._streams, in_order):
            warnings.warn(said, RuntimeWarning, stacklevel=2)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, for every sampler that knows epochs and for the dataset.

        After `load_state_dict` the same epoch goes on where it stood, and another begins whole. A
        `set_epoch` of the dataset or a sampler of your own says it to the loader, too.
        """
        self.epoch = arguments.whole_number("epoch", epoch, 0, MOST_EPOCH)
        self._order.set_epoch(self.epoch)
        self._keep_to_epoch()

    def _describes(self) -> dict[str, Any]:
        return {
            "batch_size": self._plain.batch_size,
            "drop_last": self._plain.drop_last,
            "length": length(self._plain.dataset),
            "order": given.described(self._order.samplers),
        }

    def _samples(self) -> dict[str, Any]:
        from datasets_impl.loaders.described import Described  # and with it what only it needs

        if self._described is None:
            self._described = Described(self._plain.dataset)
        return self._described.facts() | self._indices.facts(self._order.samplers)
