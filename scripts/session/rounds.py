"""A session of measurement: asv rounds that can be interrupted and resumed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import CACHE_VARIABLE, temporary_files
from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from scripts.root import ROOT
from scripts.session import asv_files, provenance
from scripts.session.child import child
from scripts.session.named_asv import ASV
from scripts.session.state import PAGES, State

LEAST_FREE = 10_000_000  # bytes: less is a full disk, and asv takes its errors for those of code


class Session(State):
    """A state, and the rounds of asv that add to it."""

    def run(self, console: Console) -> None:
        """Run the rounds that are still missing."""
        if self.dropped:
            console.print(f"Starting anew: {self.dropped}.")
        if self.adding:
            console.print(f"Adding to the {self.state['done']} rounds that are published.")
        elif self.state["done"]:
            console.print(f"Going on after round {self.state['done']} of an interrupted study.")
        with measurements_bar(console) as progress:
            while self.state["done"] < self.state["planned"]:
                self.run_round(self.state["done"] + 1, progress)

    def run_round(self, number: int, progress: Progress) -> None:
        self._require_room()
        attempt = self.folder / f"attempt-{os.getpid()}"
        _copy_tree(self.finished, attempt)
        (attempt / "results").mkdir(parents=True, exist_ok=True)
        config = self.configure(results=attempt / "results", pages=self.folder / PAGES)
        started = provenance.load_now()
        before = time.monotonic()
        command = [*ASV, "run", "--config", str(config)]
        command += ["-E", f"existing:{sys.executable}"]
        command += ["--set-commit-hash", self.state["code"]["commit"]]
        command += ["--machine", self.machine, "--record-samples", "--attribute", "rounds=1"]
        command += ["--append-samples"] if number > 1 else []
        command += [f"--bench={self.state['key']['bench'] or expression(self._due(number))}"]
        self._follow(command, number, attempt / "observations.jsonl", progress)
        if not list(attempt.glob("results/*/*-*.json")):
            raise StudyError(
                f"asv saved no result in round {number}; mend what the end of "
                f"{self.folder / 'asv.log'} says, and run the same command again to go on."
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
        seconds = time.monotonic() - before
        self.state["rounds"].append({**started, "seconds": round(seconds, 1), "round": number})
        self.save()
        if not progress.console.is_terminal:  # where a bar is drawn once, when all is over
            planned = self.state["planned"]
            progress.console.print(f"Round {number} of {planned} took {seconds / 60:.1f} min.")
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
        settings = asv_files.settings()
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
                f"asv ended with exit code {process.returncode} in round {number}; mend what the "
                f"end of {self.folder / 'asv.log'} says, and run the same command again to go on."
            )

    def _require_room(self) -> None:
        """Without room a measurement fails as if its code were wrong; nothing of it may count.

        Raises:
            StudyError: the disk is full.
        """
        temporary = self.environment.get("TMPDIR") or temporary_files()
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
