"""Small claims and benchmarks with known numbers, for the tests of judging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.judging.model import Outcome
from scripts.report.model import ClaimResult, Study
from scripts.report.study import load_study
from tests.claims_text import HEAD
from tests.synthetic_results import (
    Bench,
    Noise,
    write_results,
)

Times = Callable[[dict[str, Any]], float]


def bench(
    name: str,
    times: Times,
    noise: Noise | None = None,
    unit: str = "us",
    **levels: list[Any],
) -> Bench:
    """A benchmark whose cells scatter around `times(factors)`."""
    around = noise or Noise()
    return Bench(name, levels, lambda factors: around.around(times(factors)), unit)


def aa(alarms: int = 0) -> Bench:
    """Twenty A/A pairs; `alarms` of them differ by a fifth."""
    sizes = list(range(20))
    return bench(
        "controls.Item.track_item",
        lambda f: 1.2 if f["px"] < alarms and f["impl"] == "naive-again" else 1.0,
        Noise(seed=2),
        px=sizes,
        impl=["naive", "naive-again"],
    )


def study(tmp_path: Path, text: str, *benches: Bench, **options: Any) -> Study:
    write_results(tmp_path / "results", benches, **options)
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + text)
    return load_study([tmp_path / "results"], claims)


def first(tmp_path: Path, text: str, *benches: Bench, **options: Any) -> ClaimResult:
    return study(tmp_path, text, *benches, **options).claims[0]


def items(times: Times, **levels: list[Any]) -> Bench:
    chosen = {"px": [64, 256], "impl": ["naive", "preloaded"]} | levels
    return bench("item.ByImplementation.track_item", times, **chosen)


def twice(factors: dict[str, Any]) -> float:
    return 2.0 if factors["impl"] == "naive" else 1.0


def outcomes(result: ClaimResult) -> dict[Any, Outcome]:
    return {cell.factors["px"]: cell.outcome for cell in result.evidence}
