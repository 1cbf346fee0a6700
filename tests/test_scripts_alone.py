"""Scripts judge results without the benchmarks that made them: a profile must not matter then."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.root import ROOT

SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_imports_the_benchmarks(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [])  # fmt: skip
        assert not [name for name in names if name.partition(".")[0] == "benchmarks"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["scripts.judging.judge", "scripts.render_report", "scripts.compare"]
)
def test_an_unknown_profile_stops_no_script(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}, sys; assert 'benchmarks' not in sys.modules"],
        cwd=ROOT,
        env={**os.environ, "DATASET_STUDY_PROFILE": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
