"""asv results -> one tidy table, a row for each measured cell.

Results are read through asv's own API. A row holds the cell's factors and its samples, one for
each block (asv round); results of a plain `asv run` have no samples, only a median and quartiles.
"""

from __future__ import annotations

import ast
import itertools
import math
import os
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asv
import pandas as pd
from asv import util
from asv.benchmarks import Benchmarks
from asv.machine import Machine
from asv.results import Results, iter_results_paths

from datasets_impl.errors import StudyError
from datasets_impl.factors import NAMES, TOPICS
from scripts.judging import load
from scripts.judging.beside import MachineFiles
from scripts.judging.model import Reason
from scripts.judging.observed import Place
from scripts.judging.readable import readable

RESULT = re.compile(r"[0-9a-f]{8}-.*\.json$")  # as asv names a file of results


@dataclass
class MachineResults:
    """What one machine's newest result file says, with the log and provenance beside it."""

    name: str
    commit: str
    params: dict[str, Any]
    provenance: dict[str, Any]
    observations: list[dict[str, Any]]
    sampled: bool
    measured: int = 0  # when its last benchmark started, in milliseconds since 1970


@dataclass
class Evidence:
    """`cells`: columns machine, benchmark, metric, unit, the factors, samples (list or None; NaN
    for a block that other programs disturbed), median, q25, q75, repeat, status ("ok", "skipped",
    "failed", "incomplete"), reason (a `Reason`, or None)."""

    cells: pd.DataFrame
    machines: list[MachineResults] = field(default_factory=list)

    @property
    def newest(self) -> MachineResults:
        """The machine that was measured last."""
        return max(self.machines, key=lambda machine: machine.measured)

    def rounds(self) -> dict[str, int]:
        """Rounds of each machine: the blocks of its benchmarks that run in every one."""
        return {
            str(machine): max((len(cell) for cell in group["samples"] if cell), default=1)
            for machine, group in self.cells.groupby("machine")
        }

    def joined(self, other: Evidence) -> Evidence:
        """Both together; of a machine in both, this one's provenance and the logs of both.

        Raises:
            StudyError: both measured the same benchmark on the same machine.
        """
        measured = [set(zip(each.cells["machine"], each.cells["benchmark"], strict=True))
                    for each in (self, other)]  # fmt: skip
        if twice := sorted(measured[0] & measured[1]):
            raise StudyError(
                f"Two of the folders hold {twice[0][1]} of the machine {twice[0][0]}; its cells "
                "would count twice, so name only one of them."
            )
        logs = {machine.name: machine.observations for machine in other.machines}
        machines = [
            replace(machine, observations=[*machine.observations, *logs.pop(machine.name, [])])
            for machine in self.machines
        ]
        machines += [machine for machine in other.machines if machine.name in logs]
        return Evidence(pd.concat([self.cells, other.cells], ignore_index=True), machines)

    def of(self, names: Collection[str]) -> Evidence:
        """What the machines of these names measured."""
        return Evidence(
            self.cells[self.cells["machine"].isin(names)],
            [machine for machine in self.machines if machine.name in names],
        )


def load_evidence(folders: list[Path], beside: Sequence[Path] = ()) -> Evidence:
    """Read every machine below `folders`; of each machine the newest result file.

    A benchmark that any of the folders, or of those `beside`, has in a newer version counts in that
    version only: numbers of two meanings are not compared.

    Raises:
        StudyError: a folder is missing, holds no results of this suite, or a file is damaged.
    """
    newest: dict[str, tuple[int, Path, Results, dict[str, Any]]] = {}
    versions = _newest_versions(map(_benchmarks, filter(os.path.isdir, [*folders, *beside])))
    for folder in folders:
        if not os.path.isdir(folder):  # noqa: PTH112 - False too for a name that cannot be
            what = "is a file" if os.path.exists(folder) else "does not exist"  # noqa: PTH110
            raise StudyError(
                f"The results folder {folder} {what}; run `make study` or name another with "
                "--results."
            )
        units = _benchmarks(folder)
        for root, name, machine in _result_files(folder):
            path = Path(root) / name
            results = _load(path, machine)
            machine = readable(machine)
            when = max([value or 0 for value in results.started_at.values()], default=0)
            if machine in newest and not newest[machine][1].parent.samefile(path.parent):
                raise StudyError(
                    f"{newest[machine][1].parent} and {path.parent} hold results of one machine, "
                    f"{machine}; name one of them (--repeat compares two runs of a machine)."
                )
            if machine not in newest or when >= newest[machine][0]:
                newest[machine] = (when, path, results, units)
    if not newest:
        raise StudyError(
            f"No asv results in {', '.join(map(str, folders))}; run `make study` or `asv run` "
            "first."
        )
    rows: list[dict[str, Any]] = []
    machines = []
    for machine, (when, path, results, units) in sorted(newest.items()):
        files = MachineFiles(path)
        try:
            found = _rows(machine, results, units, versions, files.skipped())
            _leave_out(found, load.disturbed(files.observations))
        except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
            raise StudyError(
                f"{path} is damaged ({_short(error)}), or does not fit "
                f"{path.parents[1] / 'benchmarks.json'}; restore both or run the study again."
            ) from error
        if not found:
            raise StudyError(
                f"{path} holds results of another asv suite; name the results folder of this "
                "study with --results."
            )
        rows += found
        machines.append(
            MachineResults(
                name=machine,
                commit=results.commit_hash,
                params=dict(results.params),
                provenance=files.provenance,
                observations=files.observations,
                sampled=any(row["samples"] for row in found),
                measured=when,
            )
        )
    # Object columns keep levels as they are: a factor that some benchmarks lack would make 256 px
    # into 256.0.
    table = pd.DataFrame([dict.fromkeys(NAMES) | row for row in rows], dtype=object)
    for column in ("median", "q25", "q75"):
        table[column] = table[column].astype(float)
    return Evidence(table.sort_values(["machine", "benchmark"], kind="stable"), machines)


def _benchmarks(folder: Path) -> dict[str, Any]:
    path = folder / "benchmarks.json"
    if not path.exists() and (folder / "machine.json").exists():
        path = folder.parent / "benchmarks.json"  # one machine's folder: asv keeps it one above
    try:
        found: dict[str, Any] = util.load_json(str(path), Benchmarks.api_version)
    except FileNotFoundError:
        raise StudyError(
            f"{path} is missing, so units of the results are unknown; run asv again, or name the "
            "folder that holds it with --results."
        ) from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); mend its rights.") from error
    except (util.UserError, ValueError, TypeError, RecursionError) as error:
        raise _unread(path, error, "is damaged; run asv again to write it anew.") from error
    return found


def _newest_versions(suites: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The version of each benchmark, the highest where the suites differ."""
    found: dict[str, str] = {}
    for suite in suites:
        for name, entry in suite.items():
            if isinstance(entry, dict) and entry.get("version"):
                found[name] = max(found.get(name, ""), str(entry["version"]), key=_counted)
    return found


def _counted(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0, version)


def _unread(path: Path, error: Exception, why: str) -> StudyError:
    """`why`, unless the file is whole and only another version of asv reads it."""
    if isinstance(error, util.UserError) and "format" in str(error):
        why = (
            f"was written by another version of asv than the one here, {asv.__version__}, which "
            "cannot read it; keep it, and install that version to read it."
        )
    return StudyError(f"{path} {why}")


def _result_files(folder: Path) -> list[tuple[str, str, str]]:
    results = [*folder.glob("*.json"), *folder.glob("*/*.json")]
    homes = sorted({result.parent for result in results if RESULT.match(result.name)})
    # asv skips a machine's results when it cannot read this file; nothing is to vanish unsaid.
    for home in homes:
        path = home / "machine.json"
        damaged = "is missing or damaged; restore it or run asv again."
        try:
            name = util.load_json(str(path), Machine.api_version)["machine"]
        except (OSError, KeyError, TypeError, ValueError, RecursionError, util.UserError) as error:
            raise _unread(path, error, damaged) from error
        if not isinstance(name, str):
            raise StudyError(f"{path} {damaged}")
    # Each machine by itself: asv would warn of the report's own JSON files beside them.
    found = sorted(each for home in homes for each in iter_results_paths(str(home)))
    return [each for each in found if RESULT.match(each[1])]  # other files are somebody else's


def _load(path: Path, machine: str) -> Results:
    try:
        return Results.load(str(path), machine_name=machine)
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); mend its rights.") from error
    except (
        util.UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        why = "is damaged or cut short; delete it or run the study again."
        raise _unread(path, error, why) from error


def _rows(
    machine: str,
    results: Results,
    units: dict[str, Any],
    versions: dict[str, str],
    reasons: dict[tuple[str, tuple[Any, ...]], str],
) -> list[dict[str, Any]]:
    rows = []
    for key in sorted(results.get_all_result_keys()):
        module, _, method = key.rpartition(".")
        if module.split(".")[0] not in TOPICS or not method.startswith("track_"):
            continue
        entry = units.get(key)
        if entry is None:
            continue
        params = results.get_result_params(key)
        values = results.get_result_value(key, params)
        samples = results.get_result_samples(key, params) if results._samples.get(key) else None
        stats = results.get_result_stats(key, params) if results._stats.get(key) else None
        if not all(map(_is_number, itertools.chain.from_iterable(filter(None, samples or [])))):
            raise ValueError(f"a sample of {key} is no finite number")
        if not all(value is None or isinstance(value, int | float) for value in values):
            raise ValueError(f"a value of {key} is no number")
        most = max((len(cell) for cell in samples or [] if cell), default=0)
        outdated = _outdated(results.benchmark_version.get(key), versions.get(key))
        for position, levels in enumerate(itertools.product(*params)):
            plain = [ast.literal_eval(level) for level in levels]
            factors = dict(zip(entry["param_names"], plain, strict=True))
            logged = reasons.get((module, tuple(sorted(factors.items()))))
            rows.append(
                {
                    "machine": machine,
                    "benchmark": module,
                    "name": key,
                    "metric": method.removeprefix("track_"),
                    "unit": entry.get("unit", ""),
                    **factors,
                    **_cell(
                        math.nan if outdated else values[position],
                        samples[position] if samples and not outdated else None,
                        (stats[position] if stats else None) or {},
                        most,
                        outdated or (Reason("logged", (logged,)) if logged else None),
                    ),
                }
            )
    return rows


def _short(error: Exception) -> str:
    """One line on what is wrong, whatever a library says."""
    return f"{type(error).__name__}: {readable(str(error))[:120]}".replace("\n", " ")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _leave_out(rows: list[dict[str, Any]], disturbed: Mapping[Place, list[bool]]) -> None:
    """Put NaN in the place of samples that were taken while other programs used the CPU.

    The number stands in asv's file, because asv wants one each round; only the load decides, never
    the value. Whoever compares leaves such a block out whole (`inference.undisturbed`).
    """
    for row in rows:
        factors = {name: row[name] for name in NAMES if row.get(name) is not None}
        blocks = disturbed.get((row["benchmark"], tuple(sorted(factors.items()))))
        if blocks is None or row["status"] != "ok":
            continue
        samples, reason = load.left_out(row["samples"], blocks)
        if samples is None:
            row |= {"samples": None, "median": None, "status": "incomplete", "reason": reason}
        else:
            median = statistics.median(value for value in samples if not math.isnan(value))
            row |= {"samples": samples, "median": median}


def _outdated(measured: str | None, current: str | None) -> Reason | None:
    """Why a number does not count any more: its benchmark means something else now."""
    if measured is None or current is None or measured == current:
        return None
    return Reason("outdated", (measured, current))


def _cell(
    value: float | None,
    samples: list[float] | None,
    stats: dict[str, float],
    most: int,
    reason: Reason | None,
) -> dict[str, Any]:
    """Status and numbers of one cell.

    asv drops the earlier samples of a cell that fails in a later round, so a cell with fewer
    samples than its neighbours no longer lines up with their blocks.
    """
    status = "ok"
    if value is None:
        status, reason = "failed", reason or Reason("failed")
    elif math.isnan(value):
        status, reason = "skipped", reason or Reason("unavailable")
    elif samples is not None and len(samples) < most:
        status = "incomplete"
        counts = (len(samples), most)
        reason = (
            Reason("incomplete, logged", (*counts, *reason.about))
            if reason
            else Reason("incomplete", counts)
        )
    return {
        "samples": list(samples) if samples and status == "ok" else None,
        "median": value if status == "ok" else None,
        "q25": stats.get("q_25"),
        "q75": stats.get("q_75"),
        "repeat": int(stats.get("repeat") or (len(samples) if samples else 1)),
        "status": status,
        "reason": None if status == "ok" else reason,
    }
