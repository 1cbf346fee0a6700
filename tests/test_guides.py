"""The first words of a room say where each thing in it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.root import ROOT

FEW = 2  # modules that a look at the folder tells apart
ROOMS = {
    path.parent: [
        each.stem
        for each in sorted(path.parent.iterdir())
        if each.name != "__init__.py"
        and (each.suffix == ".py" or (each / "__init__.py").is_file())
        and not each.name.startswith("__main__")
    ]
    for tree in ("datasets_impl", "benchmarks", "scripts")
    for path in (ROOT / tree).rglob("__init__.py")
}
LARGE = [room for room, modules in ROOMS.items() if len(modules) > FEW]


def unnamed(room: Path) -> list[str]:
    """Modules that a room's docstring does not name; `<name>_peer` names all of that ending."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    quoted = re.findall(r"`([\w<>]+)`", text)
    patterns = [re.sub(r"<\w+>", r"\\w+", one) for one in quoted]
    return [one for one in ROOMS[room] if not any(re.fullmatch(each, one) for each in patterns)]


@pytest.mark.parametrize("room", LARGE, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_names_its_modules(room: Path) -> None:
    assert unnamed(room) == []


def test_a_module_that_is_not_named_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    room = ROOT / "scripts" / "judging"
    monkeypatch.setitem(ROOMS, room, [*ROOMS[room], "somewhere"])
    assert unnamed(room) == ["somewhere"]
