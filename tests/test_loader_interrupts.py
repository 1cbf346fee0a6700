"""Ctrl-C at each place where Python hears it: no batch is lost or given twice without a word."""

from __future__ import annotations

import contextlib
import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders import epoch, loader, separate, wire
from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import Made

HERE = (epoch.__file__, loader.__file__)  # the files in which batches are counted
BATCHES = 2


class Heard:
    """Where a signal is heard in a function: as it begins, at a call's end, where a loop goes back;
    but not where other handlers count for the next instruction, at which it is raised here."""

    def __init__(self, code: Any) -> None:
        self.names = {each.offset: each.opname for each in dis.get_instructions(code)}
        self.handlers = dis._parse_exception_table(code)  # type: ignore[attr-defined]

    def at(self, before: int, now: int) -> bool:
        name = self.names.get(before, "RESUME")
        ends = name.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
        return ends and self._handlers(before) == self._handlers(now)

    def _handlers(self, at: int) -> list[Any]:
        return [each.target for each in self.handlers if each.start <= at < each.end]


@contextmanager
def interrupted(at: int, within: tuple[str, ...] = HERE) -> Iterator[list[str]]:
    """Raises KeyboardInterrupt at the `at`-th place in these files where a signal is heard; says
    where that was."""
    left, places = at, []
    before: dict[Any, int] = {}
    heard: dict[Any, Heard] = {}

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        code = frame.f_code
        if code.co_filename not in within:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event != "opcode":
            return trace
        if code not in heard:
            heard[code] = Heard(code)
        was, before[frame] = before.get(frame, -1), frame.f_lasti
        if heard[code].at(was, frame.f_lasti):
            left -= 1
            if left < 0:
                places.append(f"{code.co_qualname}:{frame.f_lineno}")
                raise KeyboardInterrupt
        return trace

    usual = sys.gettrace()
    sys.settrace(trace)
    try:
        yield places
    finally:
        sys.settrace(usual)
        before.clear()


def built(**given: Any) -> ThreadedLoader[Any]:
    options: dict[str, Any] = {"where": "trainer", "threads": 1, "prefetch_factor": 0, **given}
    return ThreadedLoader(Made("bytes", BATCHES), 1, **options)


def values(batches: Any) -> list[int]:
    return [int(batch[0, 0]) for batch in batches]


def cut(made: ThreadedLoader[Any], at: int) -> tuple[list[int], Any, list[str]]:
    """What came before the interrupt, the iterator, and where it was."""
    found: list[int] = []
    batches = iter(made)
    try:
        with interrupted(at) as places:
            for batch in batches:
                found.append(int(batch[0, 0]))
    except KeyboardInterrupt:
        return found, batches, places
    return found, batches, places


@pytest.mark.parametrize("resumed", [False, True])
def test_what_is_saved_after_an_interrupt_says_what_was_given(resumed: bool) -> None:
    options = {"shuffle": True, "seed": 3}
    made = built(**options)
    first, wanted = values(made), values(made)
    start: Any = None
    if resumed:
        made = built(**options)
        given = [int(next(iter(made))[0, 0])]
        start = made.state_dict()
    at, was = 0, [""]
    while was:
        made = built(**options)
        if resumed:
            made.load_state_dict(start)
        found, batches, was = cut(made, at)
        if resumed:
            found = given + found
        state = made.state_dict()
        again = built(**options)
        again.load_state_dict(state)
        rest = values(again)
        if state["epoch"] == 0 and state["begun"]:
            assert found + rest == first, was
        elif state["epoch"] == 0:
            assert not found and rest == first, was
        else:
            assert found == first and rest == wanted, was
        try:
            more = values(batches)
        except LoaderFailed as error:
            assert "cut short" in str(error)
        else:
            assert found + more == first, was
        at += 1
    assert at > 10  # newer Pythons stop at fewer places


class Interrupting(Made):
    """A sample during which Ctrl-C comes, once."""

    def __getitem__(self, index: int) -> Any:
        if index == 1 and self.kind:
            self.kind = ""
            raise KeyboardInterrupt
        return index


def test_an_interrupt_is_no_error_of_the_batch_that_is_made_meanwhile() -> None:
    data = Interrupting("once", 3)
    made: Any = ThreadedLoader(data, 1, where="trainer", threads=1, prefetch_factor=0)
    found, batches = [], iter(made)
    with pytest.raises(KeyboardInterrupt):
        for batch in batches:
            found.append(batch.item())
    made.load_state_dict(made.state_dict())
    assert found + [batch.item() for batch in made] == [0, 1, 2]


def test_a_loader_goes_on_after_an_interrupt_in_a_message() -> None:
    """No lock stays held, and nothing is waited for that was lost."""
    made: Any = ThreadedLoader(Made("bytes", 1), 1, threads=1, timeout=600, start_method="fork")
    at, was, files = 0, [""], (separate.__file__, wire.__file__)
    while was:
        list(made)  # has a process
        with (
            contextlib.suppress(KeyboardInterrupt),
            interrupted(at, files) as was,
        ):
            list(made)
        assert values(made) == [0], was
        at += 3  # each may start a process
    made.close()
    assert at > 3
