"""Modules and datasets that do what no dataset should: each ends in one sentence, or a finding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datasets_impl.doctor.__main__ import main, questions
from datasets_impl.doctor.process.examine import examine
from datasets_impl.doctor.report.diagnosis import Diagnosis, diagnose
from datasets_impl.doctor.report.page import page
from datasets_impl.errors import StudyError
from scripts.root import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked")]
EMPTY = """
class D:
    def __len__(self): return 0
    def __getitem__(self, index): raise IndexError(index)
"""
SURVIVED = "holds no sample"  # it was imported and made
IMPORTED = {  # at import -> what is said
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()":
        r"SystemExit: 2 \(.*target\.py:4\).*reads the command line.*__main__",
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('-x')\np.parse_args()":
        SURVIVED,
    "import sys\nsys.exit('no data here')": "SystemExit: no data here.*ends the program.*__main__",
    "input('Which folder? ')": "asks for input.*__main__",
    "import os\nos.environ['NO_SUCH_THING']": "KeyError: 'NO_SUCH_THING'.*environment variable",
    "import no_such_package": "no_such_package.*install",
    "from . import x": "no known parent package.*name it as package.module:object",
    "import os\nos.chdir('/')": SURVIVED,
    "import os\nos.fork()": SURVIVED,
    "import sys\nsys.stdout.write('x' * 10_000_000)\nsys.stderr.write('y' * 10_000_000)": SURVIVED,
    "import sys\nsys.stdout = sys.stderr = sys.stdin = None": SURVIVED,
    "import os\nos.closerange(0, 256)": SURVIVED,
    "class Stop(BaseException): pass\nraise Stop('enough')": "Stop: enough",
    "raise OSError('no file caf\\udce9.jpg')": r"no file caf\\udce9\.jpg",
    "raise OSError('\\x1b[2J[red]x[/red]\\0')": r"OSError: \\x1b\[2J\[red\]x\[/red\]\\x00",
    "raise OSError('a' * 100_000)": "OSError: aaaa",
    "class E(Exception):\n def __str__(self): 1 / 0\nraise E": "E: its text cannot be had",
    "import os\nos._exit(7)": "ended with code 7",
    "import os\nos.kill(os.getpid(), 11)": "SIGSEGV",
    "def f(): return f()\nf()": "RecursionError",
    "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)": SURVIVED,
    "import threading\nthreading.Thread(target=threading.Event().wait).start()": SURVIVED,
}  # fmt: skip
BUDGET = 10.0  # seconds
LENGTHS = ("3.5", "-1", "'4'", "None", "2 ** 70", "1 / 0")


def test_a_file_named_like_a_library_is_not_taken_for_it(tmp_path: Path) -> None:
    """Neither by the doctor nor by the process that looks, and the user's own modules are found."""
    for name in ("json", "random", "psutil", "numpy", "rich", "torch"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('taken for a library')")
    (tmp_path / "mine.py").write_text(EMPTY)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "target.py").write_text("from mine import D")
    done = subprocess.run(
        [sys.executable, "-m", "datasets_impl.doctor", "below/target.py:D", "--budget", "10"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and re.search(SURVIVED, done.stderr), done.stderr


@pytest.mark.parametrize("source", IMPORTED)
def test_what_a_module_does_when_it_is_imported_is_told(
    source: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "target.py").write_text(source + "\n" + EMPTY)
    assert main([f"{tmp_path}/target.py:D"]) == 2
    said = capfd.readouterr().err
    assert re.search(IMPORTED[source], said), said
    assert "Traceback" not in said and len(said.strip().splitlines()) == 1
    assert len(said) < 1500


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_no_length_is_told(
    length: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "target.py").write_text(EMPTY.replace("return 0", f"return {length}"))
    assert main([f"{tmp_path}/target.py:D"]) == 2
    said = capsys.readouterr().err
    assert "mend its __len__" in said and "Traceback" not in said


def examined(source: str, folder: Path, budget: float, *but: str) -> Diagnosis:
    path = folder / "target.py"
    path.write_text(f"import torch\n{source}")
    heard = examine(f"{path}:D", {}, questions(budget, but))
    assert not heard.user_error, heard.user_error
    return diagnose("target", heard)


LATER = ("batches", "growth", "tried", "repeated", "ceiling")
MAP = """
class D(torch.utils.data.Dataset):
    def __len__(self): return 100
    def __getitem__(self, index):
        return {sample}
"""
FOUND = {  # what a dataset is -> the first finding
    "class D(torch.utils.data.IterableDataset):\n    def __iter__(self): return iter(())":
        "no-samples",
    "class D:\n    def __iter__(self): return iter([None] * 9)": "nothing",
    "class D:\n    def __getitem__(self, index): return torch.zeros(3)": "no-length",
    MAP.format(sample="next(iter(()))"): "broken-sample",
    MAP.format(sample="None"): "nothing",
    MAP.format(sample="NotImplemented"): "nothing",
    "one = torch.zeros(9)" + MAP.format(sample="one"): "alike",
    "class Stop(BaseException): pass\ndef stop(): raise Stop" + MAP.format(sample="stop()"):
        "broken-sample",
    """
def D():
    data = torch.utils.data.TensorDataset(torch.arange(64.0))
    return torch.utils.data.DataLoader(data, batch_sampler=[[0, 1], [2], []])
""": "empty-batch",
    """
def D():
    data = torch.utils.data.TensorDataset(torch.arange(64.0))
    return torch.utils.data.DataLoader(data, batch_sampler=[])
""": "no-batch",
    """
def D():
    data = torch.utils.data.TensorDataset(torch.arange(64.0))
    return torch.utils.data.DataLoader(data, 128, drop_last=True)
""": "no-batch",
    "endless = []\nendless.append([endless] * 2)" + MAP.format(sample="endless"): "alike",
}  # fmt: skip


@pytest.mark.parametrize("source", FOUND)
def test_samples_that_are_none_are_the_finding(source: str, tmp_path: Path) -> None:
    found = examined(source, tmp_path, BUDGET, *LATER)
    assert [one.name for one in found.findings][:1] == [FOUND[source]], found
    assert not found.verdict.startswith("Nothing")


OPAQUE = {  # samples that differ, and whose texts do not, or too deep: what they need, and they
    "an object": ("import types", "type('R', (), {'n': index})()"),
    "a generator": ("", "(n for n in [index])"),
    "deep lists": ("def of(n, deep=20): return [of(n, deep - 1)] if deep else n", "of(index)"),
    "an array of objects": ("import numpy", "numpy.array([0] * 5000 + [index] * 999, object)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OPAQUE)
def test_samples_that_cannot_be_told_apart_are_not_called_equal(kind: str, tmp_path: Path) -> None:
    before, sample = OPAQUE[kind]
    found = examined(
        before + MAP.format(sample=sample), tmp_path, BUDGET, *LATER, "causes", "items"
    )
    assert "alike" not in [one.name for one in found.findings], found


ENDLESS = {
    "in Python": "while True: pass",
    "in C, with the interpreter's lock": "import ctypes; ctypes.PyDLL(None).sleep(100000)",
    "in a worker's signal mask": "import signal; signal.pthread_sigmask(0, range(1, 32)); "
                                 "signal.pause()",
}  # fmt: skip


@pytest.mark.parametrize("how", ENDLESS)
def test_a_sample_that_never_ends_is_named(
    how: str, tmp_path: Path, index: int = 51, but: tuple[str, ...] = LATER
) -> None:
    """One that is not among those that are looked at first."""
    source = MAP.format(sample="torch.full((9,), index)").replace(
        "        return",
        f"        if index == {index}:\n            {ENDLESS[how]}\n        return",
    )
    found = examined(source, tmp_path, 20.0, *but)
    assert found.findings[0].title == f"Sample {index} never comes", found
    assert "it stood at target.py:" in found.findings[0].evidence
    assert found.findings[0].places[0].startswith("target.py:")
    assert found.total_us is not None or "a larger --budget" in str(found.not_done)


def test_the_first_sample_that_never_ends_is_named(tmp_path: Path) -> None:
    test_a_sample_that_never_ends_is_named("in Python", tmp_path, 0, ())


def test_the_users_text_is_shown_escaped_everywhere(tmp_path: Path) -> None:
    text = r"'caf\udce9 \x1b[2J [bold]b[/bold] \u202e \0 <i>'"
    source = f"def broken(): raise OSError({text})" + MAP.format(
        sample="broken() if index == 99 else {" + text + ": torch.full((9,), index)}"
    )
    found = examined(source, tmp_path, 3 * BUDGET, *LATER)
    data = json.loads(found.model_dump_json())
    assert any(one["name"] == "broken-sample" for one in data["findings"])
    shown = page(found)
    for made in (shown, found.model_dump_json(), *found.not_done):
        made.encode()
        assert "\x1b" not in made and "\0" not in made and "\u202e" not in made
    assert r"caf\udce9" in shown and "<i>" not in shown.split("<main>")[1].replace("<i style", "")


def test_a_clock_that_the_users_code_sets_is_not_believed(tmp_path: Path) -> None:
    source = "import time\ndef still(): return 0.0" + MAP.format(
        sample="[setattr(time, name, still) for name in ('perf_counter', 'monotonic', 'time')] "
        "and torch.full((9,), index)"
    )
    found = examined(source, tmp_path, BUDGET, *LATER)
    assert found.total_us and found.parts, found


def test_what_cannot_be_asked_beside_a_dataset_hides_nothing(tmp_path: Path) -> None:
    """As Flask's `request` outside of one: a name of the module that a sample looks at."""
    source = """
class Proxy:
    def __getattr__(self, name): raise RuntimeError("outside of a request")
    def __call__(self): return self.it
request = Proxy()
""" + MAP.format(sample="torch.full((9,), index if request else 0)")
    found = examined(source, tmp_path, BUDGET)
    assert found.parts and not [said for said in found.not_done if "failed" in said]


NAMES = (
    "transform", "dataset", "targets", "samples", "epoch", "indices", "imgs", "root", "paths",
    "inner", "doctors_note",
)  # fmt: skip
ATTRIBUTES = {  # what a dataset does when it is asked for what it may not have
    "raises KeyError": """
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return {}[name]
""",
    "properties raise": "".join(
        f"    @property\n    def {name}(self): raise RuntimeError('not yet')\n" for name in NAMES
    ),
    "gives itself": """
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
""",
    "has an inner one": "    inner = [1, 2]\n",
    "has none": "",
}


@pytest.mark.parametrize("does", ATTRIBUTES)
def test_attributes_that_raise_hide_nothing(does: str, tmp_path: Path) -> None:
    source = (
        MAP.format(sample="torch.full((9,), index)")
        + ATTRIBUTES[does]
        + """
def init(worker):
    assert type(torch.utils.data.get_worker_info().dataset) is Own
Own = D
def D(): return torch.utils.data.DataLoader(Own(), 8, num_workers=1, worker_init_fn=init)
"""
    )
    found = examined(source, tmp_path, BUDGET)
    said = [one for one in found.not_done if "failed" in one or "could not be tried" in one]
    assert not said and not found.wrong and found.parts, found


def test_answers_arrive_where_the_users_code_replaces_the_library_of_their_format(
    tmp_path: Path,
) -> None:
    source = "import json" + MAP.format(sample="setattr(json, 'dumps', repr) or index")
    assert examined(source, tmp_path, BUDGET, *LATER).length


def test_a_loader_that_goes_its_own_way_is_told_apart(tmp_path: Path) -> None:
    source = (
        MAP.format(sample="torch.full((9,), index)")
        + """
class Own(torch.utils.data.DataLoader):
    def __iter__(self): raise RuntimeError("not this way")
def D(data=D()): return Own(data)
"""
    )
    assert "__iter__ of its own" in examined(source, tmp_path, BUDGET, *LATER).note


def test_a_dataset_that_deletes_temporary_files_is_one_sentence(tmp_path: Path) -> None:
    source = "import os, shutil" + MAP.format(
        sample="shutil.rmtree(os.environ['TMPDIR']) or torch.full((9,), index)"
    )
    with pytest.raises(StudyError, match="deletes temporary files"):
        examined(source, tmp_path, BUDGET, *LATER)
