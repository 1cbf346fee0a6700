"""One pass over a dataset: batches are asked for in advance and handed out in order."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.drawing import Order
from datasets_impl.loaders.position import Position
from datasets_impl.loaders.sources import chained, kept
from datasets_impl.loaders.threads import require_process
from datasets_impl.loaders.work import NotInTime, Outcome, Run
from datasets_impl.system.termination import by_a_signal
from datasets_impl.system.threads import lock_anew_in_forks


class Epoch(Iterator[Any]):
    """Iterator over the batches.

    Args:
        run: where they are made.
        order, indices: where what they are made of comes from.
        position: kept up to date, for the loader's `state_dict`.
        ahead: batches that are being made while the trainer works on one.
        in_order: hand out batches in the order of their indices, and else as they are ready.
        timeout: seconds that a batch may take; 0 for as long as it takes.
        reread: make batches that were handed out before, too, and leave them out.
        ended: told how many batches the epoch had, where it came to its end.

    Raises:
        LoaderFailed: no batch came in time.
        StudyError: in a process that was forked from the one in which the epoch was begun.
    """

    def __init__(
        self,
        run: Run,
        order: Order,
        indices: Iterator[Any],
        position: Position,
        ahead: int,
        in_order: bool,
        timeout: float,
        reread: bool,
        ended: Callable[[int], None],
    ) -> None:
        self._run, self._order, self._indices = run, order, indices
        self._state = order.teller(indices)
        self._position = position
        self._ahead, self._in_order, self._timeout = ahead, in_order, timeout
        self._owner = os.getpid()
        self._reread = reread
        self._ended = ended
        self._number = 0 if reread else position.given  # of the next batch to be asked for
        self._waiting: dict[int, Any] = {}  # asked for; what the sampler said after its indices
        self._made: dict[int, Outcome] = {}
        # Digests of the first so many batches' indices, those that a state may need.
        self._taken = dict(position.taken or {})
        self._said = None if position.taken is None else self._taken.get(position.given, "")
        self._exhausted = self._over = False
        self._within = threading.Lock()
        self._ask(ahead)

    def __iter__(self) -> Epoch:
        return self

    def __next__(self) -> Any:
        require_process(self._owner)
        if not self._within.acquire(blocking=False):
            raise LoaderFailed(
                "The epoch was cut short while a batch of it was waited for, or another thread "
                "waits for one; iterate anew. To go on where it stood, give the loader its own "
                "`state_dict()` with `load_state_dict` first."
            )
        # It stays so if a signal ends this: what is half done may be lost.
        free = threading.Lock()
        while not self._over:
            self._ask(self._ahead + 1)
            if not self._waiting:
                break
            number, outcome = self._next()
            state = self._waiting.pop(number)
            if outcome.ended:
                break
            if self._position.has(number) and outcome.error is None:
                continue
            at, value, error = self._position, outcome.value, _raisable(outcome.error)
            after = *at.after(number, state), outcome.state, outcome.drawn
            taken = self._digests(after[0], after[1])
            more = bool(self._waiting) or not self._exhausted
            del outcome  # an error holds this frame, which would hold it
            # Calls nothing from here on: a signal that is heard at a call's end would have the
            # batch counted and not handed out.
            at.given, at.beyond, at.order, at.dataset, at.drawn = after
            at.begun, at.taken = more, taken
            self._within = free
            if error is not None:
                try:
                    raise error
                finally:
                    del error
            return value
        ends = not self._over
        self._end()
        self._within.release()
        if ends:
            self._ended(self._position.given)
        raise StopIteration

    def _ask(self, most: int) -> None:
        """Have batches made until `most` are, or wait to be handed out."""
        while not self._exhausted and len(self._waiting) < most:
            try:
                with self._order.drawing():
                    indices = kept(next(self._indices))
            except StopIteration:
                self._exhausted = True
                return
            except Exception as error:
                # The sampler's own: the epoch goes on as far as that does, as in a `DataLoader`.
                if self._within.locked() and not by_a_signal(error):
                    self._within.release()
                raise
            if self._said is not None:
                self._said = chained(self._said, indices)
                self._taken[self._number + 1] = self._said
            if self._reread or not self._position.has(self._number):
                self._waiting[self._number] = self._state()
                self._run.submit(self._number, indices)
            self._number += 1

    def _digests(self, given: int, beyond: dict[int, Any]) -> dict[int, str] | None:
        """Those of all indices that were handed out, in turn and out of turn."""
        if self._said is None:
            return None
        for count in [count for count in self._taken if count < given]:
            del self._taken[count]
        needed = {given, *(number + 1 for number in beyond)}
        return {count: self._taken[count] for count in sorted(needed) if count in self._taken}

    def _next(self) -> tuple[int, Outcome]:
        while True:
            wanted = next(iter(self._waiting if self._in_order else self._made), -1)
            if wanted in self._made:
                return wanted, self._made.pop(wanted)
            try:
                number, outcome = self._run.receive(self._timeout or None)
            except LoaderFailed:
                self._within.release()  # nothing is half done
                raise
            except NotInTime:
                self._within.release()
                raise LoaderFailed(
                    f"No batch came within {self._timeout:g} seconds; give a larger timeout, or 0 "
                    "to wait as long as it takes."
                ) from None
            self._made[number] = outcome
            del outcome

    def _end(self) -> None:
        if not self._over:
            self._position.begun = False
        self.close()

    def close(self) -> None:
        """Stop making batches."""
        if not self._over and os.getpid() == self._owner:
            self._over = True
            self._made = {}
            self._run.end()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):  # an epoch that could not even begin has none
            self.close()


class Unbegun(Iterator[Any]):
    """An epoch that begins when its first batch is asked for.

    Frameworks make iterators that they never read, to see whether they can, and no order may be
    drawn for these.

    Args:
        begin: is given this and sets its `epoch`.
    """

    def __init__(self, begin: Callable[[Unbegun], None]) -> None:
        self._begin = begin
        self._beginning = lock_anew_in_forks()
        self.epoch: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self.epoch is None:
            with self._beginning:  # of several threads one begins it
                if self.epoch is None:
                    self._begin(self)
        assert self.epoch is not None
        for batch in self.epoch:  # no call of `next`, at whose end a signal would lose the batch
            return batch
        raise StopIteration


def _raisable(error: BaseException | None) -> BaseException | None:
    """What is raised for an error of a batch."""
    if not isinstance(error, StopIteration):
        return error
    failed = LoaderFailed(
        "The dataset, collate_fn or worker_init_fn raised StopIteration, which would end the epoch "
        "unnoticed; let it raise another error."
    )
    failed.__cause__ = error
    if "__notes__" in vars(error):  # which samples it was raised for
        vars(failed)["__notes__"] = vars(error)["__notes__"]
    return failed
