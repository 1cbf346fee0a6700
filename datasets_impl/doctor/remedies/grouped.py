"""Rows of a pandas table by an index of a column, in place of comparing the whole column."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.room import MEMORY
from datasets_impl.doctor.probes.searching import homes_of
from datasets_impl.doctor.remedies.columns import CAUSE
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

MOST = 64  # values that a column was compared with, to see whether they are one
NUMBER = 8  # bytes of a row's number
LINES = """self.rows = {table}.groupby({column}).indices  # in __init__
# in __getitem__:
part = {table}.iloc[{found}]{then}  # in place of {how}"""
FURTHER = "\npart = part[{conditions}]  # the other conditions, asked of these rows alone"
COMPARED = "{table}[{table}[{column}] == value]"
GROUPED = "{table}.groupby({column}){then}.get_group(value)"
SIGNS = {
    operator.eq: "==", operator.ne: "!=", operator.lt: "<", operator.le: "<=", operator.gt: ">",
    operator.ge: ">=",
}  # fmt: skip
PLAIN = (str, int, float, bool)


@dataclass
class Used:
    """How a table was asked for rows, and by which column. `further` are the other conditions: a
    column, a sign and the values that it was compared with."""

    column: Any
    how: str
    then: str = ""  # columns that are taken of a group
    further: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    def lines(self, table: str) -> str:
        names = {"table": table, "column": _quoted(self.column), "then": self.then}
        # A comparison of a value that no row has gives no row.
        found = "self.rows.get(value, [])" if self.how == COMPARED else "self.rows[value]"
        made = LINES.format(**names, how=self.how.format(**names), found=found)
        if not self.further:
            return made
        asked = [
            f"part[{_quoted(column)}] {sign} {_value(values, number)}"
            for number, ((column, sign), values) in enumerate(self.further.items())
        ]
        conditions = asked[0] if len(asked) == 1 else " & ".join(f"({one})" for one in asked)
        return made + FURTHER.format(conditions=conditions)


def _quoted(column: Any) -> str:
    return f'"{column}"' if isinstance(column, str) else repr(column)


def _value(values: list[Any], number: int) -> str:
    """As the code has it, where it is always the same."""
    same = isinstance(values[0], PLAIN) and len({repr(one) for one in values}) == 1
    return repr(values[0]) if same else f"other{number or ''}"


class Grouped:
    """A table that is asked for the rows in which a column has a value; all else it answers."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._places: dict[str, dict[Any, Any]] = {}
        self._groups: dict[str, Any] = {}
        self._used: Used | None = None

    def _where(self, column: str, value: Any, others: list[tuple[str, Any, Any]]) -> Any:
        self._used = self._used or Used(column, COMPARED)
        for other, how, compared in others:
            known = self._used.further.setdefault((other, SIGNS[how]), [])
            known += [compared] if len(known) < MOST else []
        if column not in self._places:
            self._places[column] = self._table.groupby(column, observed=True).indices
        return self._table.take(self._places[column].get(value, []))

    def groupby(self, *given: Any, **options: Any) -> Any:
        key = repr((given, options))
        if key not in self._groups:
            self._groups[key] = self._table.groupby(*given, **options)
        by: Any = given[0] if given else options.get("by")
        plain = isinstance(by, str) and len(given) + len(options) == 1
        return _Groups(self, self._groups[key], by) if plain else self._groups[key]

    @property
    def loc(self) -> Any:
        return _ByMask(self)

    def __getitem__(self, asked: Any) -> Any:
        if isinstance(asked, _Mask):
            return asked.rows()
        found = self._table[asked]
        return _Column(self, asked, found) if isinstance(asked, str) else found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name] if name in self._table.columns else getattr(self._table, name)

    def __len__(self) -> int:
        return len(self._table)


class _Groups:
    """Those of a column; of which one is taken is noted."""

    def __init__(self, table: Grouped, groups: Any, by: str, then: str = "") -> None:
        self._table, self._groups, self._by, self._then = table, groups, by, then

    def get_group(self, value: Any) -> Any:
        self._table._used = self._table._used or Used(self._by, GROUPED, self._then)
        return self._groups.get_group(value)

    def __getitem__(self, asked: Any) -> Any:
        return _Groups(self._table, self._groups[asked], self._by, f"[{_quoted(asked)}]")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._groups, name)


class _ByMask:
    def __init__(self, table: Grouped) -> None:
        self.table = table

    def __getitem__(self, asked: Any) -> Any:
        mask, *columns = asked if isinstance(asked, tuple) else (asked,)
        if not isinstance(mask, _Mask):
            return self.table._table.loc[asked]
        rows = mask.rows()
        return rows.loc[:, columns[0]] if columns else rows


class _Column:
    """A column; what it is compared with is kept until it is known what for."""

    def __init__(self, table: Grouped, name: str, values: Any) -> None:
        self._table, self._name, self._values = table, name, values

    def _compared(self, how: Callable[[Any, Any], Any], value: Any) -> Any:
        if getattr(value, "ndim", 0) or isinstance(value, list | tuple | _Column):
            return how(self._values, getattr(value, "_values", value))
        return _Mask(self._table, [(self._name, how, value)])

    def __eq__(self, value: object) -> Any:
        return self._compared(operator.eq, value)

    def __ne__(self, value: object) -> Any:
        return self._compared(operator.ne, value)

    def __lt__(self, value: Any) -> Any:
        return self._compared(operator.lt, value)

    def __le__(self, value: Any) -> Any:
        return self._compared(operator.le, value)

    def __gt__(self, value: Any) -> Any:
        return self._compared(operator.gt, value)

    def __ge__(self, value: Any) -> Any:
        return self._compared(operator.ge, value)

    def __getitem__(self, asked: Any) -> Any:
        return self._values[asked.plain() if isinstance(asked, _Mask) else asked]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._values, name)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __array__(self, *given: Any, **options: Any) -> Any:
        return self._values.__array__(*given, **options)


class _Mask:
    """Comparisons that a row has to pass, all of them."""

    def __init__(self, table: Grouped, passes: list[tuple[str, Any, Any]]) -> None:
        self._table, self._passes = table, passes

    def rows(self) -> Any:
        """By the index of the first that asks for one value; the others are tried on what is left
        over."""
        exact = [one for one in self._passes if one[1] is operator.eq]
        if not exact:
            return self._table._table[self.plain()]
        others = [one for one in self._passes if one is not exact[0]]
        part = self._table._where(exact[0][0], exact[0][2], others)
        for column, how, value in others:
            part = part[how(part[column], value)]
        return part

    def plain(self) -> Any:
        table = self._table._table
        whole = [how(table[name], value) for name, how, value in self._passes]
        for other in whole[1:]:
            whole[0] = whole[0] & other
        return whole[0]

    def __and__(self, other: Any) -> Any:
        if isinstance(other, _Mask):
            return _Mask(self._table, [*self._passes, *other._passes])
        return self.plain() & other

    def __or__(self, other: Any) -> Any:
        return self.plain() | (other.plain() if isinstance(other, _Mask) else other)

    def __invert__(self) -> Any:
        return ~self.plain()

    def __array__(self, *given: Any, **options: Any) -> Any:
        return self.plain().__array__(*given, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.plain(), name)


def grouped(at: Context) -> list[Remedy]:
    """Where a sample is the rows in which a column has some value: they are found once for all."""
    pandas = sys.modules.get("pandas")
    if pandas is None or CAUSE not in at.found:
        return []
    pairs = list[tuple[Callee, Any]]()
    for (_, kind), holders in homes_of(at.subject).items():
        for holder in holders:
            for name, value in list(attribute(holder, "__dict__", {}).items()):
                if type(value) is pandas.DataFrame:
                    shown = f"self.{name}" if kind else name
                    pairs.append((Callee(shown, holder, name), Grouped(value)))
    made = Instead(at.part, pairs)
    if not pairs or not unharmed(at, made):
        return []
    used = [(callee, table) for callee, table in pairs if table._used is not None]
    if not used:
        return []
    callee, table = used[0]
    title = "Find the rows of each group once"
    size = sum(NUMBER * len(one) * max(1, len(one._places)) for _, one in used)
    return [
        Remedy(
            "grouped",
            title,
            table._used.lines(callee.name),
            made,
            at.subject.workers,
            "C12",
            needs=at.ask_for(title, {MEMORY: size * max(1, at.subject.workers)}),
            mends=(CAUSE, "python"),
        )
    ]
