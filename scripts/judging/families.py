"""Tests written as families, as `claims.toml` explains them, into one table for each test.

Plain tables in, plain tables out: what a field may hold is checked by `scripts/judging/claims.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Table = dict[str, Any]
WORD = "{each}"


def expanded(claim: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> Table:
    """`claim` without `shared`, and each of its tests with all of its fields.

    `fields` are those of each kind of test: one that shares a field it cannot have goes without.

    Raises:
        ValueError: a table is none, or a shared field belongs to no kind.
    """
    shared = _table(claim.get("shared", {}), "shared")
    if unknown := sorted(shared.keys() - {name for kind in fields.values() for name in kind}):
        raise ValueError(f"shared has the unknown field {unknown[0]!r}")
    found = {key: value for key, value in claim.items() if key != "shared"}
    if "test" in claim:
        found["test"] = {
            name: _completed(shared, test, fields)
            for family, written in _table(claim["test"], "test").items()
            for name, test in _members(family, _table(written, f"test.{family}"))
        }
    return found


def _members(name: str, written: Table) -> Iterator[tuple[str, Table]]:
    """(name, fields) of one test, or of every member of a family, its word put for "{each}"."""
    common = {key: value for key, value in written.items() if key not in ("each", "but")}
    words, own = written.get("each"), _table(written.get("but", {}), f"test.{name}.but")
    if words is None and not own:
        yield name, common
        return
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
        raise ValueError(f"test.{name}.each must be a list of words")
    if unknown := sorted(own.keys() - set(words)):
        raise ValueError(f"test.{name}.but names {unknown[0]!r}, which is not in its each")
    for word in words:
        member = {**common, **_table(own.get(word, {}), f"test.{name}.but.{word}")}
        yield f"{name}.{word}", _filled(member, word)


def _filled(value: Any, word: str) -> Any:
    if isinstance(value, str):
        return value.replace(WORD, word)
    if isinstance(value, list):
        return [_filled(one, word) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, word) for key, one in value.items()}
    return value


def _completed(shared: Table, test: Table, fields: Mapping[str, Collection[str]]) -> Table:
    """`test` with the shared fields that its kind has and that it does not say itself."""
    kind = str(test.get("kind", shared.get("kind")))
    own = fields.get(kind, shared)  # an unknown kind is refused when the test is checked
    return {**{key: value for key, value in shared.items() if key in own}, **test}


def _table(found: object, name: str) -> Table:
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a table")
    return found
