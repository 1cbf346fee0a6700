"""A small stand-in for asv, and what tests of a session ask of it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from scripts.root import ROOT
from scripts.session import provenance, publishing, state
from scripts.session import rounds as asv_session
from scripts.session.rounds import Session
from tests.synthetic_results import COMMIT, Bench, edit_json, load_evidence, write_results

IMPL = ["naive", "preloaded"]
NAME = "item.ByImplementation.track_item"


class FakeAsv:
    """Plays `asv run`: appends one sample for each cell and one line to the log.

    `trouble(round)` may interrupt it half-way, when the log and a result are already written.
    """

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.rounds: list[str] = []
        self.trouble: Callable[[int], int] = lambda number: 0

    @contextmanager
    def child(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path | None
    ) -> Iterator[SimpleNamespace]:
        self.commands.append(list(command))
        self.rounds.append(environment[ROUND_VARIABLE])
        config = json.loads(Path(command[command.index("--config") + 1]).read_text())
        attempt = Path(config["results_dir"])
        earlier: dict[str, list[float]] = {impl: [] for impl in IMPL}
        if list(attempt.glob("*/*-*.json")):
            cells = load_evidence([attempt]).cells
            earlier = dict(zip(cells["impl"], cells["samples"], strict=True))
        number = len(earlier["naive"]) + 1
        self._save(attempt, command, {i: [*earlier[i], float(number)] for i in IMPL})
        with Path(environment[LOG_VARIABLE]).open("a") as log:
            for impl in IMPL:
                log.write(json.dumps(self.observed(number, impl)) + "\n")
        code = self.trouble(number)
        yield SimpleNamespace(poll=lambda: code, returncode=code)

    def _save(self, attempt: Path, command: Sequence[str], samples: dict[str, list[float]]) -> None:
        attempt.mkdir(parents=True, exist_ok=True)
        path = write_results(
            attempt,
            [Bench(NAME, {"impl": IMPL}, lambda factors: samples[factors["impl"]])],
            machine=command[command.index("--machine") + 1],
            commit=command[command.index("--set-commit-hash") + 1],
        )
        # asv names an existing environment by the path of its interpreter.
        local = "existing-py" + sys.executable.replace("/", "_")
        edit_json(path, lambda data: data.update(env_name=local))
        path.rename(path.with_name(f"{path.name[:8]}-{local}.json"))

    def observed(self, number: int, impl: str) -> dict[str, Any]:
        return {
            "benchmark": "item.ByImplementation",
            "factors": {"impl": impl},
            "round": number,
            "note": f"OSError: {ROOT}/benchmarks/item.py and {Path.home()}/pictures/a.jpg",
        }


PLAN = {
    "rounds": 3,
    "benchmarks": {
        "item.ByStage": {"cells": len(IMPL), "every": 1},
        "memory.Slow": {"cells": 1, "every": 2},
        "exact.Shapes": {"cells": 1, "every": 0},
    },
}


def played(monkeypatch: pytest.MonkeyPatch) -> FakeAsv:
    """A stand-in for asv, and for the code that a session asks about."""
    fake = FakeAsv()
    monkeypatch.setattr(asv_session, "child", fake.child)
    code = {"commit": COMMIT, "dirty": False, "hash": "0123"}
    monkeypatch.setattr(provenance, "code_state", lambda: code)
    return fake


def opened(tmp_path: Path, **changes: Any) -> Session:
    corpora = tmp_path / "corpora.json"
    corpora.write_text(changes.pop("pictures", "[]"))
    profile = changes.get("profile", "quick")
    settings = {"profile": profile, "rounds": None, "bench": None, "machine": "lab", "plan": PLAN}
    environment = state.environment(profile, None)
    return Session.open(
        tmp_path / "session", **{**settings, **changes}, corpora=corpora, environment=environment
    )


def run(session: Session) -> str:
    screen = io.StringIO()
    session.run(Console(file=screen))
    return screen.getvalue()


def logged(session: Session) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in session.log.read_text().splitlines()]
    return [(line["round"], line["factors"]["impl"]) for line in lines]


def samples(folder: Path) -> dict[str, list[float]]:
    cells = load_evidence([folder]).cells
    return dict(zip(cells["impl"], cells["samples"], strict=True))


WHOLE = [(number, impl) for number in (1, 2, 3) for impl in IMPL]
BLOCKS = {impl: [1.0, 2.0, 3.0] for impl in IMPL}


def interrupted_in(number: int) -> Callable[[int], int]:
    def trouble(current: int) -> int:
        if current == number:
            raise KeyboardInterrupt
        return 0

    return trouble


def half_done(asv: FakeAsv, tmp_path: Path) -> None:
    asv.trouble = interrupted_in(2)
    with pytest.raises(KeyboardInterrupt):
        run(opened(tmp_path))
    asv.trouble = lambda number: 0


def published(tmp_path: Path) -> Path:
    session = opened(tmp_path)
    run(session)
    return publish(session, tmp_path / "published")


def publish(session: Session, target: Path) -> Path:
    """Publish, as a study does that comes to its end."""
    publishing.publish(session, target)
    session.finish()
    return target
