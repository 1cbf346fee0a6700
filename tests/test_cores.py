"""How many cores there are: affinity, and what a container may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datasets_impl.system import cores as module
from datasets_impl.system.cores import cores
from datasets_impl.system.hierarchy import cpu_quota


def machine(root: Path, version: int, limits: dict[str, str]) -> Path:
    """A /proc whose process is in the group /a/b, with the limits given by group."""
    proc, point = root / "proc", root / "groups"
    (proc / "self").mkdir(parents=True)
    kind = "cgroup2 none rw" if version == 2 else "cgroup none rw,cpu,cpuacct"
    (proc / "self/mountinfo").write_text(f"30 20 0:1 / {point} rw - {kind}\n")
    group = "0::/a/b" if version == 2 else "3:cpu,cpuacct:/a/b"
    (proc / "self/cgroup").write_text(f"{group}\n1:name=systemd:/x\n")
    for name, limit in limits.items():
        folder = point / name
        folder.mkdir(parents=True, exist_ok=True)
        if version == 2:
            (folder / "cpu.max").write_text(limit)
        else:
            quota, period = limit.split()
            (folder / "cpu.cfs_quota_us").write_text(quota)
            (folder / "cpu.cfs_period_us").write_text(period)
    return proc


@pytest.mark.parametrize(
    ("version", "limits", "quota"),
    [
        (2, {"a/b": "max 100000"}, None),
        (2, {"a/b": "150000 100000"}, 1.5),
        (2, {"a": "300000 100000", "a/b": "max 100000"}, 3),
        (2, {"a": "50000 100000", "a/b": "400000 100000"}, 0.5),
        (2, {}, None),
        (2, {"a/b": "rubbish"}, None),
        (1, {"a/b": "-1 100000"}, None),
        (1, {"a/b": "250000 100000", ".": "-1 100000"}, 2.5),
        (1, {"a/b": "-1 100000", "a": "100000 50000"}, 2),
        (1, {"a/b": "0 0"}, None),
    ],
)
def test_quota(version: int, limits: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    assert cpu_quota(machine(tmp_path, version, limits)) == quota


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("affinity", "quota", "found"),
    [(8, None, 8), (8, 1.5, 2), (8, 0.1, 1), (8, 2.0, 2), (2, 64.0, 2)],
)
def test_cores(
    affinity: int, quota: float | None, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(affinity)))
    monkeypatch.setattr(module, "cpu_quota", lambda: quota)
    assert cores() == found


def test_asking_imports_no_torch() -> None:
    code = (
        "import sys; from datasets_impl.system.cores import cores; cores(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
