"""Control groups: where a process stands, what is written, whether a disk was throttled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets_impl.errors import Unsupported, VoidMeasurement
from datasets_impl.media import cgroup
from datasets_impl.media.cgroup import Group, Write, memory_limit
from datasets_impl.system import hierarchy
from datasets_impl.system.hierarchy import Mount, Place, device_of, find

MB = 1_000_000
V1_MOUNTS = """\
22 27 0:21 / /proc rw - proc proc rw
38 31 0:35 / {root}/blkio rw,relatime - cgroup cgroup rw,blkio
35 31 0:32 / {root}/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_GROUPS = "7:blkio:/\n4:memory:/session/one\n2:cpu,cpuacct:/x\n0::/\n"


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., Path]:
    """Makes a /proc that shows the mounts and groups given; `{root}` is below `tmp_path`."""

    def make(mountinfo: str, groups: str, files: dict[str, str] | None = None) -> Path:
        home = tmp_path / "proc/self"
        home.mkdir(parents=True)
        (home / "mountinfo").write_text(mountinfo.replace("{root}", str(tmp_path / "cg")))
        (home / "cgroup").write_text(groups)
        for name, text in (files or {}).items():
            path = tmp_path / "cg" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "proc"

    return make


def test_mounts() -> None:
    found = hierarchy.mounts(V1_MOUNTS.replace("{root}", "/cg") + "a broken line\n")
    assert [mount.version for mount in found] == [1, 1, 2]
    assert found[1] == Mount(1, "/", Path("/cg/memory"), frozenset({"rw", "memory"}))
    assert found[2].controllers == frozenset()


def test_membership() -> None:
    groups = hierarchy.membership(V1_GROUPS)
    assert groups["cpuacct"] == groups["cpu"] == "/x"
    assert groups["memory"] == "/session/one"
    assert groups[""] == "/"
    assert hierarchy.membership("0::/a:b\n")[""] == "/a:b"


def test_version_1(system: Callable[..., Path], tmp_path: Path) -> None:
    """Groups are made below the own one, so that its limits still hold."""
    proc = system(V1_MOUNTS, V1_GROUPS)
    own = tmp_path / "cg/memory/session/one"
    assert find("memory", proc) == Place(1, own, own)
    assert find("io", proc) == Place(1, tmp_path / "cg/blkio", tmp_path / "cg/blkio")


def test_version_1_in_a_container(system: Callable[..., Path], tmp_path: Path) -> None:
    proc = system(
        "35 31 0:32 /docker/ab {root}/memory rw - cgroup cgroup rw,memory\n",
        "4:memory:/docker/ab\n",
    )
    assert find("memory", proc).current == tmp_path / "cg/memory"


def test_version_2(system: Callable[..., Path], tmp_path: Path) -> None:
    """Beside the own group: one with processes may not have groups with limits."""
    proc = system(
        "29 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n",
        "0::/user/app/run\n",
        {"user/app/run/cgroup.controllers": "cpu memory\n"},
    )
    current = tmp_path / "cg/user/app/run"
    assert find("memory", proc) == Place(2, current, current.parent)
    with pytest.raises(Unsupported, match="io controller"):
        find("io", proc)


def test_version_2_at_its_root(system: Callable[..., Path], tmp_path: Path) -> None:
    proc = system(
        "29 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n",
        "0::/\n",
        {"cgroup.controllers": "io memory"},
    )
    assert find("io", proc) == Place(2, tmp_path / "cg", tmp_path / "cg")


def test_controllers_of_version_1_win_over_an_empty_version_2(system: Callable[..., Path]) -> None:
    proc = system(V1_MOUNTS, V1_GROUPS, {"unified/cgroup.controllers": "memory io"})
    assert find("memory", proc).version == 1


def test_no_control_groups(system: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no control groups"):
        find("io", tmp_path / "absent")
    with pytest.raises(Unsupported, match="has the io controller"):
        find("io", system("22 27 0:21 / /proc rw - proc proc rw\n", ""))


def test_plans() -> None:
    assert cgroup.bandwidth_plan(1, "254:0", 25) == [
        Write("blkio.throttle.read_bps_device", "254:0 25")
    ]
    assert cgroup.bandwidth_plan(2, "8:16", 25) == [Write("io.max", "8:16 rbps=25")]
    files = [write.file for write in cgroup.memory_plan(1, 9)]
    # The kernel refuses a limit on memory and swap below the one on memory.
    assert files.index("memory.limit_in_bytes") < files.index("memory.memsw.limit_in_bytes")
    assert Write("memory.max", "9") in cgroup.memory_plan(2, 9)
    assert all(
        "swap" in w.file or "memsw" in w.file or not w.optional
        for version in (1, 2)
        for w in cgroup.memory_plan(version, 9)
    )


def test_a_missing_setting(tmp_path: Path) -> None:
    cgroup._set(tmp_path / "swap", Write("swap", "0", optional=True))
    assert not (tmp_path / "swap").exists()
    with pytest.raises(Unsupported, match=r"refused memory\.max"):
        cgroup._set(tmp_path / "absent/memory.max", Write("memory.max", "9"))


def test_partition_becomes_its_disk(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    disk = tmp_path / "devices/sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/partition").write_text("1\n")
    (disk / "queue").mkdir()
    (disk / "queue/read_ahead_kb").write_text("128\n")
    blocks = tmp_path / "dev/block"
    blocks.mkdir(parents=True)
    with pytest.raises(Unsupported, match="no single block device"):
        device_of(tmp_path, tmp_path)
    assert hierarchy.read_ahead_kib(tmp_path, tmp_path) == 0
    (blocks / f"{os.major(number)}:{os.minor(number)}").symlink_to(disk / "sda1")
    (blocks / "8:0").symlink_to(disk)
    assert device_of(tmp_path, tmp_path) == "8:0"
    assert hierarchy.read_ahead_kib(tmp_path, tmp_path) == 128


@pytest.mark.parametrize(
    ("version", "peak", "events"),
    [(1, "memory.max_usage_in_bytes", "memory.oom_control"), (2, "memory.peak", "memory.events")],
)
def test_what_a_group_says(tmp_path: Path, version: int, peak: str, events: str) -> None:
    group = Group(version, tmp_path)
    assert (group.peak_bytes(), group.out_of_memory_kills()) == (0, 0)
    (tmp_path / peak).write_text("4096\n")
    (tmp_path / events).write_text("under_oom 0\noom 7\noom_kill 2\n")
    assert (group.peak_bytes(), group.out_of_memory_kills()) == (4096, 2)


def test_group_that_may_not_be_made(
    system: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hierarchy is there, and the folder to make a group in is not."""
    monkeypatch.setattr(hierarchy, "PROC", system(V1_MOUNTS, V1_GROUPS))
    with pytest.raises(Unsupported, match="may not make control groups"), memory_limit(1 << 30):
        pass


def test_faster_than_the_limit_is_void() -> None:
    assert cgroup.require_throttled(25 * MB, 1.0, 25 * MB) == 25 * MB
    assert cgroup.require_throttled(25 * MB, 100.0, 25 * MB) == MB / 4, "slower is no sin"
    with pytest.raises(VoidMeasurement, match="50 MB/s were read under a limit of 25 MB/s"):
        cgroup.require_throttled(25 * MB, 0.5, 25 * MB)


def test_one_slice_may_pass_and_no_more() -> None:
    limit = 100 * MB
    cgroup.require_throttled(100 * MB, 1 - cgroup.SLICE, limit)
    with pytest.raises(VoidMeasurement):
        cgroup.require_throttled(100 * MB, 1 - 2 * cgroup.SLICE, limit)


def test_too_short_a_read_is_refused() -> None:
    cgroup.require_long(25 * MB, 100 * MB)
    with pytest.raises(Unsupported, match="more or larger images"):
        cgroup.require_long(24 * MB, 100 * MB)
