"""Control groups: found in either version, planned without root, and holding where root allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets_impl.observe import page_cache
from datasets_impl.observe.page_cache import Unsupported, VoidMeasurement
from datasets_impl.storage import cgroup, hierarchy
from datasets_impl.storage.cgroup import Group, Write, limited_bandwidth, memory_limit
from datasets_impl.storage.hierarchy import Mount, Place, device_of, find

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


# --- where this process stands ---------------------------------------------------------------


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


def test_controllers_of_version_1_win_over_an_empty_version_2(
    system: Callable[..., Path], tmp_path: Path
) -> None:
    proc = system(V1_MOUNTS, V1_GROUPS, {"unified/cgroup.controllers": "memory io"})
    assert find("memory", proc).version == 1


def test_no_control_groups(system: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no control groups"):
        find("io", tmp_path / "absent")
    with pytest.raises(Unsupported, match="has the io controller"):
        find("io", system("22 27 0:21 / /proc rw - proc proc rw\n", ""))


# --- what is written -------------------------------------------------------------------------


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


# --- is it throttled? ------------------------------------------------------------------------


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


# --- the real thing, where this user may -----------------------------------------------------


def own_groups(parent: Path) -> list[str]:
    return [path.name for path in parent.glob(f"{cgroup.PREFIX}{os.getpid()}-*")]


@pytest.fixture
def throttling(on_disk: None, tmp_path: Path) -> Path:
    """A file of 5 MB on a disk that this user may throttle."""
    path = tmp_path / "data"
    path.write_bytes(os.urandom(5 * MB))
    try:
        with limited_bandwidth(path, 1000 * MB):
            pass
    except Unsupported as reason:
        if os.geteuid() == 0 and (find("io").parent / "cgroup.procs").exists():
            assert "device" in str(reason) or "Read-only" in str(reason), reason
        pytest.skip(str(reason))
    return path


@pytest.fixture
def limiting() -> None:
    try:
        with memory_limit(1 << 30):
            pass
    except Unsupported as reason:
        pytest.skip(str(reason))


def read_cold(path: Path) -> tuple[int, float]:
    page_cache.evict([path])
    page_cache.require_cold([path])
    before, start = page_cache.bytes_read(), time.perf_counter()
    path.read_bytes()
    return page_cache.bytes_read() - before, time.perf_counter() - start


def test_reads_are_throttled(throttling: Path) -> None:
    with limited_bandwidth(throttling, 10 * MB):
        size, seconds = read_cold(throttling)
    assert size >= 5 * MB
    cgroup.require_throttled(size, seconds, 10 * MB)


def test_the_advance_comes_from_the_device_and_is_removed(throttling: Path) -> None:
    before_it = set(throttling.parent.iterdir())
    with cgroup.advance(throttling.parent, 10 * MB) as use_up:
        (file,) = set(throttling.parent.iterdir()) - before_it
        assert file.stat().st_size == int(cgroup.ADVANCE_SECONDS * 10 * MB)
        before = page_cache.bytes_read()
        use_up()
        page_cache.require_read(page_cache.bytes_read(), [file], before)
    assert set(throttling.parent.iterdir()) == before_it


def test_children_are_throttled_too(throttling: Path) -> None:
    page_cache.evict([throttling])
    start = time.perf_counter()
    with limited_bandwidth(throttling, 10 * MB):
        subprocess.run(["cat", throttling], stdout=subprocess.DEVNULL, check=True)
    cgroup.require_throttled(5 * MB, time.perf_counter() - start, 10 * MB)


def test_process_goes_back_and_group_is_removed(throttling: Path) -> None:
    home = Path("/proc/self/cgroup").read_text()
    with limited_bandwidth(throttling, 10 * MB) as group:
        assert Path("/proc/self/cgroup").read_text() != home
        assert str(os.getpid()) in group.members.read_text().split()
        assert own_groups(group.folder.parent) == [group.folder.name]
    assert Path("/proc/self/cgroup").read_text() == home
    with pytest.raises(ZeroDivisionError), limited_bandwidth(throttling, 10 * MB):
        raise ZeroDivisionError
    assert Path("/proc/self/cgroup").read_text() == home
    assert own_groups(group.folder.parent) == []


def test_a_child_still_running_goes_back_too(throttling: Path) -> None:
    with limited_bandwidth(throttling, 10 * MB) as group:
        child = subprocess.Popen(["sleep", "60"])
    try:
        assert not group.folder.exists()
        assert child.poll() is None
        assert cgroup.PREFIX not in Path(f"/proc/{child.pid}/cgroup").read_text()
    finally:
        child.kill()
        child.wait()


def test_a_forked_child_that_unwinds_leaves_the_group(throttling: Path) -> None:
    parent = os.getpid()
    try:
        with limited_bandwidth(throttling, 10 * MB) as group:
            child = os.fork()
            if child == 0:
                raise SystemExit(7)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7
            assert group.folder.exists()
    except BaseException:
        if os.getpid() != parent:
            os._exit(7)
        raise


def test_group_of_a_killed_owner_is_swept_and_of_a_live_one_not(throttling: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from datasets_impl.storage.cgroup import limited_bandwidth\n"
        f"with limited_bandwidth(Path({str(throttling)!r}), 10**7) as group:\n"
        "    print(group.folder, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        folder = Path(child.stdout.readline().strip())
    try:
        assert folder.name.startswith(cgroup.PREFIX)
        cgroup.sweep()
        assert folder.exists(), "its owner runs"
    finally:
        child.kill()
        child.wait()
    assert folder.exists(), "SIGKILL cannot be caught"
    assert cgroup.sweep() >= 1
    assert not folder.exists()


def in_group(group: Group, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter inside `group`, first in line when memory runs out."""
    join = (
        "import os, pathlib\n"
        "pathlib.Path('/proc/self/oom_score_adj').write_text('1000')\n"
        f"pathlib.Path({str(group.members)!r}).write_text(str(os.getpid()))\n"
    )
    return subprocess.run([sys.executable, "-c", join + code], capture_output=True, text=True)


def test_memory_limit_holds(limiting: None) -> None:
    limit = 64 << 20
    with memory_limit(limit) as group:
        fits = in_group(group, f"x = b'x' * {limit // 4}; print(len(x))")
        assert (fits.returncode, group.out_of_memory_kills()) == (0, 0), fits.stderr
        assert limit // 4 <= group.peak_bytes() <= limit
        killed = in_group(group, f"x = b'x' * {2 * limit}; print(len(x))")
        assert (killed.returncode, killed.stdout) == (-9, "")
        assert group.out_of_memory_kills() == 1
        assert group.peak_bytes() <= limit
    assert own_groups(group.folder.parent) == []


def test_this_process_stays_outside_a_memory_limit(limiting: None) -> None:
    with memory_limit(1 << 20) as group:
        assert group.members.read_text() == ""
        assert len(bytearray(8 << 20)) == 8 << 20


def test_ordinary_user_is_told_why(throttling: Path) -> None:
    """The same calls as nobody: one sentence, and nothing else happens."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            for make in (lambda: memory_limit(1 << 30), lambda: limited_bandwidth(Path("/"), MB)):
                try:
                    with make():
                        said.append("it was allowed")
                except Unsupported as reason:
                    said.append(str(reason))
            os.write(writer, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert len(said) == 2
    assert all("may not make control groups" in sentence for sentence in said), said
