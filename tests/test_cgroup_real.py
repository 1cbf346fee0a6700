"""Real control groups, where this user may make them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datasets_impl.errors import Unsupported
from datasets_impl.media import cgroup
from datasets_impl.media.cgroup import Group, limited_bandwidth, memory_limit
from datasets_impl.observe import page_cache
from datasets_impl.system.hierarchy import find
from datasets_impl.system.owners import PREFIX

MB = 1_000_000


def own_groups(parent: Path) -> list[str]:
    return [path.name for path in parent.glob(f"{PREFIX}{os.getpid()}-*")]


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
        child = subprocess.Popen(["sleep", "600"])
    try:
        assert not group.folder.exists()
        assert child.poll() is None
        assert PREFIX not in Path(f"/proc/{child.pid}/cgroup").read_text()
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
        "from datasets_impl.media.cgroup import limited_bandwidth\n"
        f"with limited_bandwidth(Path({str(throttling)!r}), 10**7) as group:\n"
        "    print(group.folder, flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        folder = Path(child.stdout.readline().strip())
    try:
        assert folder.name.startswith(PREFIX)
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
