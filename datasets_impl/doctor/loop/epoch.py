"""One epoch of a watched loop: when its batches came, and what steps take without loading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.arrival import Arrival
from datasets_impl.doctor.loop.gil import GilProbe
from datasets_impl.doctor.loop.record import Pair, Record
from datasets_impl.doctor.loop.seen import measured
from datasets_impl.doctor.probes import clock

FREE_LOADING = "Training with free loading"


class Epoch:
    """Writes one epoch down in the record of all. Whatever cannot be measured, training goes on."""

    def __init__(self, record: Record, free: bool | None, loader: Any) -> None:
        self.record = record
        self.first = True
        self.arrival = Arrival()
        self.room, self.kept = False, None  # for a batch that is kept, and that batch
        self.window = 0.0  # when the usual steps to compare with began
        self.unsettled = 0  # steps that profit from what the loader fetched during a block
        self.free = False
        if free is not False:
            with record.trying(FREE_LOADING):
                against = held.why_not(loader, asked=bool(free))
                self.free = not against
                if against:
                    record.note(against)

    def look(self, batch: Any) -> None:
        try:
            self.arrival(batch)
        except Exception as error:
            self.record.missed("When a batch has arrived", error)

    def arrived(self, batch: Any, waited: float) -> None:
        if self.first:
            self.first = False
            self.record.first_batches.add(waited)
            with self.record.trying("The size of a batch"):
                self._measure(batch)
        elif not self.unsettled:
            self.record.waits.add(waited)

    def _measure(self, batch: Any) -> None:
        record = self.record
        if record.batch_size is None:
            record.batch_size, record.batch_bytes, why = measured(batch)
            if why:
                record.note(f"The size of a batch leaves out what cannot be measured ({why}).")
        self.room = held.how_many(record.batch_bytes) > 0

    def keep(self, batch: Any) -> None:
        """For a step longer, instead of the one before, where its memory was mapped for it alone.

        Giving back the one before takes its time here.
        """
        self.kept = batch if self.arrival.fresh and self.room else None

    def trained(self, seconds: float) -> bool:
        """Whether batches are to be held back now."""
        record = self.record
        record.seen += 1
        if self.unsettled:
            self.unsettled -= 1
        else:
            record.steps.add(seconds)
        if not self.free:
            return False
        if held.starts_window(record.seen, record.blocks):
            held.synchronize()
            self.window = clock.perf_counter()
        return self.window > 0 and held.due(record.seen, record.blocks)

    def without_loading(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Some batches straight after each other, with the loader at rest. They are kept until the
        last, and the one before them: giving them back is a part of loading."""
        record = self.record
        held.synchronize()
        usual = (clock.perf_counter() - self.window) / held.BLOCK
        self.window, many = 0.0, 0
        with record.trying(FREE_LOADING):
            many = held.how_many(record.batch_bytes)
        if not many:
            self.free = False
            record.note("A few batches do not fit into the memory that is free; none was held.")
            return
        found, failed = held.fetched(batches, many)
        for number in range(len(found)):  # no name of this frame may keep a batch
            self.look(found[number])
        rested, probe = False, None
        with record.trying(FREE_LOADING):
            rested = held.wait_for_rest()
            if not rested:
                record.note("The loader, or another thread, was never at rest.")
            if held.looks_at_gil(record.blocks) and GilProbe.possible():
                probe = GilProbe()
                probe.start()
        record.blocks += 1
        self.unsettled = held.SETTLE
        held.synchronize()
        begun, count = clock.perf_counter(), len(found)
        yield from found
        held.synchronize()
        each = (clock.perf_counter() - begun) / max(count, 1)
        found.clear()
        if probe:
            probe.stop()
            record.wakes += probe.wakes
            record.late_wakes += probe.late
        elif rested and count >= held.LEAST_BLOCK:
            record.pairs.append(Pair(usual, each))
            record.free_steps.add(each)
        if failed is not None:  # at the step where it would have come without `watch`
            raise failed
