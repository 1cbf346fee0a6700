"""A session of measurement: asv rounds that can be interrupted and resumed.

A finished round is a folder `rounds-<n>` with the results and the log of all rounds so far. The
state names the one that counts and is replaced as a whole, so a kill at any moment leaves either
the rounds before or the rounds after.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import util
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import MARK as ATOMIC
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir
from datasets_impl.files.replacing import remove_ours
from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from scripts.root import ASV_CONFIG, ROOT
from scripts.session import provenance
from scripts.session.child import child, run_child

PROFILE_VARIABLE = "DATASET_STUDY_PROFILE"
MARK = "SESSION.txt"
HEADER = "A session of measurement of this study."
MACHINES = Path(".asv-machine.json")  # in the home folder: where asv keeps the names of machines
OWN = {MARK, "session.json", "corpora.json", "asv.conf.json", "asv.log", "env", "pages"}
ROUNDS = re.compile("(rounds|attempt)-[0-9]+")
LEAST_FREE = 10_000_000  # bytes: less is a full disk, and asv takes its errors for those of code
ASKED = {  # parts of a session's key, as a reader knows them
    "profile": "profile",
    "bench": "benchmarks",
    "repeat": "runs",
    "machine": "machine",
    "images": "pictures",
    "code": "code",
    "corpora": "pictures",
    "versions": "libraries",
}


def environment(profile: str, images: Path | None, root: Path = ROOT) -> dict[str, str]:
    """Environment variables of a session; everything that could differ between arms is set.

    The package is that of `root`, whose hash is recorded: asv's processes start elsewhere, and
    in a clone that was copied with its environment, they would find the original.
    """
    others = filter(None, [os.environ.get("PYTHONPATH")])
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), *others]),
        PROFILE_VARIABLE: profile,
        CACHE_VARIABLE: str(cache_dir()),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if images is not None:
        variables[IMAGES_VARIABLE] = str(images)
    return variables


def published_of(folder: Path) -> dict[str, Any]:
    """What the session in `folder` has measured, if it is published; its key, or nothing."""
    state = _state(folder)
    return dict(state["key"]) if state.get("published") else {}


def is_session(folder: Path) -> bool:
    """Whether a folder holds a session, by the text it begins with, and nobody else's file."""
    try:
        begun = (folder / MARK).read_text(encoding="utf-8").startswith(HEADER)
        return begun and all(_is_own(path) for path in folder.iterdir())
    except (OSError, ValueError):
        return False


def _is_own(path: Path) -> bool:
    if ROUNDS.fullmatch(path.name):
        return {each.name for each in path.iterdir()} <= {"results", "observations.jsonl"}
    return path.name in OWN or path.name.endswith(ATOMIC)


@dataclass
class Session:
    """State in `<folder>/session.json`; finished rounds in `<folder>/rounds-<how many>`."""

    folder: Path
    state: dict[str, Any]
    environment: Mapping[str, str]
    adding: bool = False  # to a session whose results are published
    dropped: str = ""  # what an unfinished session differed in, and how many rounds it had
    root: Path = ROOT  # where the measured code lies

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        profile: str,
        rounds: int | None,
        bench: str | None,
        machine: str,
        plan: Mapping[str, Any],
        corpora: Path,
        environment: Mapping[str, str],
        repeat: bool = False,
        root: Path = ROOT,
        code: Mapping[str, Any] | None = None,
    ) -> Session:
        """Go on with the session in `folder` if it measures the same thing, else start anew.

        A session that was published goes on too when more rounds are asked for than it has: it
        keeps its rounds, and what it published stays as it is until the new rounds are whole.
        `corpora` is the file of manifests that building the corpora left; `repeat` says that this
        is the second run of what is measured; `root` holds another revision's code than this
        folder, and `code` says which (see `provenance.code_state`).

        Raises:
            StudyError: `folder` is somebody else's.
        """
        code = code or provenance.code_state()
        manifests = corpora.read_text(encoding="utf-8")
        key = {
            "profile": profile,
            "bench": bench,
            "repeat": repeat,
            "machine": machine,
            "images": environment.get(IMAGES_VARIABLE),
            "code": code["hash"],
            # Rounds may be added days later: blocks must not mix pictures or libraries.
            "corpora": hashlib.sha256(manifests.encode()).hexdigest()[:16],
            "versions": provenance.versions(),
        }
        state = _state(folder)
        planned = rounds or plan["rounds"]
        known = state.get("key") == key
        whole = known and bool(state.get("published"))
        adding = whole and state["done"] < planned
        dropped = "" if known or state.get("published") else _dropped(state, key)
        if not known or (whole and not adding):
            remove_ours(folder, is_session, what="a session of measurement")
            folder.mkdir(parents=True)
            (folder / MARK).write_text(f"{HEADER} It may be deleted when no study runs.\n")
            # The rules as they stand before the first number; `code` says what is measured.
            before = {"claims_hash": provenance.claims_hash(), "code": code}
            state = {"key": key, **before, "done": 0, "rounds": []}
        state |= {"planned": planned, "plan": dict(plan), "published": False}
        session = cls(folder, state, environment, adding, dropped, root)
        atomic_write(session.corpora, manifests)
        session.save()
        session._clear()
        return session

    def save(self) -> None:
        atomic_write(self.folder / "session.json", json.dumps(self.state, indent=1))

    @property
    def machine(self) -> str:
        return str(self.state["key"]["machine"])

    @property
    def corpora(self) -> Path:
        return self.folder / "corpora.json"

    @property
    def finished(self) -> Path:
        """The folder of the rounds that are finished."""
        return self.folder / f"rounds-{self.state['done']}"

    @property
    def results(self) -> Path:
        return self.finished / "results"

    @property
    def log(self) -> Path:
        return self.finished / "observations.jsonl"

    def run(self, console: Console) -> None:
        """Run the rounds that are still missing."""
        self.register_machine()
        if self.dropped:
            console.print(f"Starting anew: {self.dropped}.")
        if self.adding:
            console.print(f"Adding to the {self.state['done']} rounds that are published.")
        elif self.state["done"]:
            console.print(f"Going on after round {self.state['done']} of an interrupted study.")
        with measurements_bar(console) as progress:
            while self.state["done"] < self.state["planned"]:
                self.run_round(self.state["done"] + 1, progress)

    def finish(self) -> None:
        """What was measured is published and told; the next study asks anew."""
        self.state["published"] = True
        self.save()

    def register_machine(self) -> None:
        # asv keeps machine names in the home folder and asks for them without one.
        names = Path.home() / MACHINES
        try:
            if names.exists() and not isinstance(json.loads(names.read_text()), dict):
                raise ValueError("no object")
        except (OSError, ValueError) as error:
            raise StudyError(
                f"{names}, where asv keeps the names of machines, is damaged; delete it or mend it."
            ) from error
        run_child(
            [sys.executable, "-m", "asv", "machine", "--yes", "--machine", self.machine],
            self.environment,
            what=f"Registering this machine with asv in {names}",
            output=self.folder / "asv.log",
        )

    def run_round(self, number: int, progress: Progress) -> None:
        self._require_room()
        attempt = self.folder / f"attempt-{os.getpid()}"
        _copy_tree(self.finished, attempt)
        (attempt / "results").mkdir(parents=True, exist_ok=True)
        config = self.configure(results=attempt / "results", pages=self.folder / "pages")
        started = provenance.load_now()
        before = time.monotonic()
        command = [sys.executable, "-m", "asv", "run", "--config", str(config)]
        command += ["-E", f"existing:{sys.executable}"]
        command += ["--set-commit-hash", self.state["code"]["commit"]]
        command += ["--machine", self.machine, "--record-samples", "--attribute", "rounds=1"]
        command += ["--append-samples"] if number > 1 else []
        command += [f"--bench={self.state['key']['bench'] or expression(self._due(number))}"]
        self._follow(command, number, attempt / "observations.jsonl", progress)
        if not list(attempt.glob("results/*/*-*.json")):
            raise StudyError(
                f"asv saved no result in round {number}; see {self.folder / 'asv.log'}."
            )
        here = self.root == ROOT
        if here and provenance.code_state()["hash"] != self.state["key"]["code"]:
            raise StudyError(
                f"The measured code was changed while round {number} ran, so the round does not "
                "count; put the code back and run the same command again to go on, or run it as it "
                "is to start anew."
            )
        attempt.rename(self.folder / f"rounds-{number}")
        self.state["done"] = number
        self.state["rounds"].append(
            {**started, "seconds": round(time.monotonic() - before, 1), "round": number}
        )
        self.save()
        self._clear()

    def _due(self, number: int) -> dict[str, int]:
        """Cells of each benchmark that runs in this round; of chosen ones, all run in each."""
        chosen = self.state["key"]["bench"]
        benchmarks: dict[str, dict[str, int]] = self.state["plan"]["benchmarks"]
        return {
            name: entry["cells"]
            for name, entry in benchmarks.items()
            if chosen or number == 1 or (entry["every"] and (number - 1) % entry["every"] == 0)
        }

    def configure(self, results: Path, pages: Path) -> Path:
        """The project's asv configuration with folders of this session; returns its path."""
        settings = util.load_json(str(ASV_CONFIG), js_comments=True)
        settings |= {
            "repo": str(ROOT),
            "benchmark_dir": str(self.root / "benchmarks"),
            "results_dir": str(results),
            "html_dir": str(pages),
            "env_dir": str(self.folder / "env"),
        }
        config = self.folder / "asv.conf.json"
        atomic_write(config, json.dumps(settings))
        return config

    def _clear(self) -> None:
        """Remove the rounds and attempts that count no more, such as those of a killed study."""
        for folder in (*self.folder.glob("rounds-*"), *self.folder.glob("attempt-*")):
            if folder != self.finished and ROUNDS.fullmatch(folder.name) and _is_own(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _follow(self, command: list[str], number: int, log: Path, progress: Progress) -> None:
        """Run one round and move the bar with every measurement that reaches the log."""
        label = f"Round {number} of {self.state['planned']}"
        task = progress.add_task(label, total=sum(self._due(number).values()))
        before = log.stat().st_size if log.exists() else 0
        variables = {**self.environment, LOG_VARIABLE: str(log), ROUND_VARIABLE: str(number)}
        with child(command, variables, self.folder / "asv.log") as process:
            while process.poll() is None:
                time.sleep(0.5)
                progress.update(task, completed=observed(log, before))
        seen = observed(log, before)
        progress.update(task, completed=seen, total=seen)
        self._require_room()
        # asv ends with 2 when single benchmarks failed; the report names those cells.
        if process.returncode not in (0, 2):
            raise StudyError(
                f"asv ended with exit code {process.returncode} in round {number}; see "
                f"{self.folder / 'asv.log'}."
            )

    def _require_room(self) -> None:
        """Without room a measurement fails as if its code were wrong; nothing of it may count.

        Raises:
            StudyError: the disk is full.
        """
        temporary = self.environment.get("TMPDIR") or tempfile.gettempdir()
        for place in (self.folder, Path(self.environment[CACHE_VARIABLE]), Path(temporary)):
            if shutil.disk_usage(place).free < LEAST_FREE:
                raise StudyError(
                    f"The disk is full: {place} has no room left; free some space and run the "
                    "same command again to go on."
                )


def measurements_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("measurements"),
        TimeElapsedColumn(),
        console=console,
    )


def observed(log: Path, start: int) -> int:
    """Measurements in the log from `start`; voided ones are made again, so not counted."""
    if not log.exists():
        return 0
    with log.open("rb") as lines:
        lines.seek(start)
        return sum(b'"voided": ' not in line for line in lines)


def _state(folder: Path) -> dict[str, Any]:
    """The state of the session in `folder`; empty where there is none that can go on."""
    try:
        state = json.loads((folder / "session.json").read_text(encoding="utf-8"))
        done = state["done"]
        sound = isinstance(state["key"], dict) and len(state["rounds"]) == done
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return state if sound and (not done or (folder / f"rounds-{done}").is_dir()) else {}


def _dropped(state: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """Why rounds that were measured are measured again; "" where there are none."""
    if not state.get("done"):
        return ""
    other = sorted({word for part, word in ASKED.items() if state["key"].get(part) != key[part]})
    return f"the {state['done']} rounds of the unfinished study are of other {' and '.join(other)}"


def _copy_tree(source: Path, target: Path) -> None:
    """As `shutil.copytree`, which gathers its errors and so hides that the disk is full."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def expression(names: Iterable[str]) -> str:
    """The regular expression by which asv runs these benchmarks and no others."""
    return rf"^({'|'.join(map(re.escape, names))})[.]"
