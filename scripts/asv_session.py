"""A session of measurement: asv rounds that can be interrupted and resumed, then published."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import util
from asv.results import Results
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasets_impl.atomic import atomic_write, describe_write_error
from datasets_impl.errors import StudyError
from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from datasets_impl.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir
from scripts import provenance
from scripts.child import child, run_child
from scripts.root import ASV_CONFIG, ROOT

PROFILE_VARIABLE = "DATASET_STUDY_PROFILE"
CORPORA = "corpora.json"  # beside the session's folder
ENVIRONMENT_NAME = f"existing-py{sys.version_info[0]}.{sys.version_info[1]}"


def environment(profile: str, images: Path | None) -> dict[str, str]:
    """Environment variables of a session; everything that could differ between arms is set."""
    variables = {
        **os.environ,
        PROFILE_VARIABLE: profile,
        CACHE_VARIABLE: str(cache_dir()),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if images is not None:
        variables[IMAGES_VARIABLE] = str(images.resolve())
    return variables


@dataclass
class Session:
    """State in `<folder>/session.json`; finished rounds in `<folder>/results`."""

    folder: Path
    state: dict[str, Any]
    environment: Mapping[str, str]
    adding: bool = False  # to a session whose results are published

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        profile: str,
        rounds: int | None,
        bench: str | None,
        machine: str,
        environment: Mapping[str, str],
    ) -> Session:
        """Go on with the session in `folder` if it measures the same thing, else start anew.

        A session that was published goes on too when more rounds are asked for than it has: it
        keeps its rounds, and what it published stays as it is until the new rounds are whole.
        """
        plan = suite_plan(environment)
        code = provenance.code_state()
        key = {
            "profile": profile,
            "bench": bench,
            "machine": machine,
            "images": environment.get(IMAGES_VARIABLE),
            "code": code["hash"],
            # Rounds may be added days later: blocks must not mix pictures or libraries.
            "corpora": _digest(folder.parent / CORPORA),
            "versions": provenance.versions(),
        }
        try:
            state = json.loads((folder / "session.json").read_text())
        except (OSError, ValueError):
            state = None
        planned = rounds or plan["rounds"]
        known = isinstance(state, dict) and state.get("key") == key and "done" in state
        whole = known and bool(state.get("published"))
        adding = whole and state["done"] < planned
        if not known or (whole and not adding):
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "results").mkdir(parents=True)
            # The rules as they stand before the first number; `code` says what is measured.
            before = {"claims_hash": provenance.claims_hash(), "code": code}
            state = {"key": key, **before, "done": 0, "log_bytes": 0, "rounds": []}
        state |= {"planned": planned, "plan": plan, "published": False}
        session = cls(folder, state, environment, adding)
        session._save()
        return session

    def _save(self) -> None:
        atomic_write(self.folder / "session.json", json.dumps(self.state, indent=1))

    @property
    def machine(self) -> str:
        return str(self.state["key"]["machine"])

    @property
    def log(self) -> Path:
        return self.folder / "observations.jsonl"

    def run(self, console: Console) -> None:
        """Run the rounds that are still missing."""
        self._register_machine()
        if self.adding:
            console.print(f"Adding to the {self.state['done']} rounds that are published.")
        elif self.state["done"]:
            console.print(f"Going on after round {self.state['done']} of an interrupted study.")
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("measurements"),
            TimeElapsedColumn(),
            console=console,
        ) as progress:
            while self.state["done"] < self.state["planned"]:
                self._run_round(self.state["done"] + 1, progress)

    def _register_machine(self) -> None:
        # asv keeps machine names in the home folder and asks for them without one.
        run_child(
            [sys.executable, "-m", "asv", "machine", "--yes", "--machine", self.machine],
            self.environment,
            what="Registering this machine with asv",
            output=self.folder / "asv.log",
        )

    def _run_round(self, number: int, progress: Progress) -> None:
        attempt = self.folder / "round"
        shutil.rmtree(attempt, ignore_errors=True)
        shutil.copytree(self.folder / "results", attempt)
        self._forget_unfinished_observations()
        config = self._configure(results=attempt, pages=self.folder / "pages")
        started = provenance.load_now()
        before = time.monotonic()
        command = [sys.executable, "-m", "asv", "run", "--config", str(config)]
        command += ["-E", f"existing:{sys.executable}"]
        command += ["--set-commit-hash", self.state["code"]["commit"]]
        command += ["--machine", self.machine, "--record-samples", "--attribute", "rounds=1"]
        command += ["--append-samples"] if number > 1 else []
        bench = self.state["key"]["bench"] or _expression(self._due(number))
        command += ["--bench", bench] if bench else []
        self._follow(command, number, progress)
        if not list(attempt.glob("*/*-*.json")):
            raise StudyError(
                f"asv saved no result in round {number}; see {self.folder / 'asv.log'}."
            )
        shutil.rmtree(self.folder / "results")
        attempt.rename(self.folder / "results")
        self.state["done"] = number
        self.state["log_bytes"] = self.log.stat().st_size if self.log.exists() else 0
        self.state["rounds"].append(
            {**started, "seconds": round(time.monotonic() - before, 1), "round": number}
        )
        self._save()

    def _due(self, number: int) -> dict[str, int]:
        """Cells of each benchmark that runs in this round."""
        benchmarks: dict[str, dict[str, int]] = self.state["plan"]["benchmarks"]
        return {
            name: entry["cells"]
            for name, entry in benchmarks.items()
            if number == 1 or (entry["every"] and (number - 1) % entry["every"] == 0)
        }

    def _configure(self, results: Path, pages: Path) -> Path:
        """The project's asv configuration with folders of this session; returns its path."""
        settings = util.load_json(str(ASV_CONFIG), js_comments=True)
        settings |= {
            "repo": str(ROOT),
            "benchmark_dir": str(ROOT / "benchmarks"),
            "results_dir": str(results),
            "html_dir": str(pages),
            "env_dir": str(self.folder / "env"),
        }
        config = self.folder / "asv.conf.json"
        atomic_write(config, json.dumps(settings))
        return config

    def make_pages(self, results: Path, pages: Path) -> None:
        """Let asv publish `results` as its own pages, which the report links to."""
        config = self._configure(results, pages)
        run_child(
            [sys.executable, "-m", "asv", "publish", "--config", str(config)],
            self.environment,
            what="Publishing asv's own pages",
            output=self.folder / "asv.log",
        )

    def _forget_unfinished_observations(self) -> None:
        if self.log.exists():
            with self.log.open("r+b") as log:
                log.truncate(self.state["log_bytes"])

    def _follow(self, command: list[str], number: int, progress: Progress) -> None:
        """Run one round and move the bar with every measurement that reaches the log."""
        label = f"Round {number} of {self.state['planned']}"
        total = sum(self._due(number).values())
        task = progress.add_task(label, total=None if self.state["key"]["bench"] else total)
        variables = {**self.environment, LOG_VARIABLE: str(self.log), ROUND_VARIABLE: str(number)}
        with child(command, variables, self.folder / "asv.log") as process:
            while process.poll() is None:
                time.sleep(0.5)
                progress.update(task, completed=self._observed())
        progress.update(task, completed=self._observed(), total=self._observed())
        # asv ends with 2 when single benchmarks failed; the report names those cells.
        if process.returncode not in (0, 2):
            raise StudyError(
                f"asv ended with exit code {process.returncode} in round {number}; see "
                f"{self.folder / 'asv.log'}."
            )

    def _observed(self) -> int:
        """Measurements of this round in the log; voided ones are made again, so not counted."""
        if not self.log.exists():
            return 0
        with self.log.open("rb") as log:
            log.seek(self.state["log_bytes"])
            return sum(b'"voided": ' not in line for line in log)

    def publish(self, target: Path) -> None:
        """Copy the finished session into `target`, each file atomically, without local paths."""
        if self.state["done"] < self.state["planned"]:
            raise StudyError("The session is not finished; run the same command again.")
        source = self.folder / "results"
        home = target / self.machine
        try:
            home.mkdir(parents=True, exist_ok=True)
            _copy(source / "benchmarks.json", target / "benchmarks.json")
            _copy(source / self.machine / "machine.json", home / "machine.json")
            for path in sorted((source / self.machine).glob("*-*.json")):
                data = util.load_json(str(path), Results.api_version)
                data["env_name"] = ENVIRONMENT_NAME
                stem = f"{data['commit_hash'][:8]}-{ENVIRONMENT_NAME}"
                facts = provenance.collect(
                    self.state, self.environment, self.folder.parent / CORPORA
                )
                texts = {
                    "provenance.jsonl": json.dumps(facts, sort_keys=True),
                    "observations.jsonl": self.log.read_text(encoding="utf-8"),
                    "json": json.dumps({**data, "version": Results.api_version}),
                }
                for suffix, text in texts.items():
                    atomic_write(home / f"{stem}.{suffix}", self._without_paths(text))
        except OSError as error:
            raise describe_write_error(error, target) from error
        self.state["published"] = True
        self._save()

    def _without_paths(self, text: str) -> str:
        """`text` with this machine's folders replaced by what they are, such as `<project>`."""
        folders = {
            str(ROOT): "<project>",
            str(self.folder.parent): "<out>",
            self.environment[CACHE_VARIABLE]: "<cache>",
            self.environment.get(IMAGES_VARIABLE, ""): "<images>",
            str(Path.home()): "<home>",
        }
        for folder in sorted(folders, key=len, reverse=True):
            if len(Path(folder).parts) > 1:
                # As the path stands in JSON: quotes and letters beyond ASCII are escaped there.
                known = re.escape(json.dumps(folder)[1:-1])
                text = re.sub(rf"{known}(?![\w.-])", folders[folder], text)
        return text


def _digest(path: Path) -> str:
    """Hash of a file's content, "" when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else ""


def _copy(source: Path, target: Path) -> None:
    atomic_write(target, source.read_bytes())


def _expression(names: Iterable[str]) -> str:
    """The regular expression by which asv runs these benchmarks and no others."""
    return rf"^({'|'.join(map(re.escape, names))})[.]"


def suite_plan(environment: Mapping[str, str]) -> dict[str, Any]:
    """Rounds and cells of the profile, asked in a process of its own: nothing here imports it."""
    answer = util.check_output(
        [sys.executable, "-m", "benchmarks.plan"], env=dict(environment), cwd=str(ROOT)
    )
    plan: dict[str, Any] = json.loads(answer)
    return plan
