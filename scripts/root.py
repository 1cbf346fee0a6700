"""Where the project's own files stand."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ROOT / "scripts" / "judging" / "claims.toml"
ASV_CONFIG = ROOT / "asv.conf.json"
RESULTS = ROOT / "results"
