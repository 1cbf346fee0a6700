"""asv results -> one tidy table, a row for each measured cell.

Results are read through asv's own API. A row holds the cell's factors and its samples, one for
each block (asv round); results of a plain `asv run` have no samples, only a median and quartiles.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd
from asv.results import Results

from datasets_impl.errors import StudyError
from datasets_impl.factors import APART, NAMES, TOPICS
from scripts.judging import observed
from scripts.judging.model import Reason
from scripts.judging.observed import Place, place_of_row
from scripts.judging.readable import readable
from scripts.judging.runs import ResultFile, Runs, newest_versions
from scripts.judging.suites import level_of

MOST_CELLS = 100_000  # of a benchmark: asv lists all that its levels make, whatever the memory
TIMES = ("ns", "us", "ms", "s")  # units of benchmarks that time something


@dataclass
class MachineResults:
    """What one machine's result file says, with the log and provenance beside it."""

    name: str
    commit: str
    params: dict[str, Any]
    provenance: dict[str, Any]
    observations: list[dict[str, Any]]
    sampled: bool
    measured: int = 0  # when its last benchmark started, in milliseconds since 1970
    rounds: int = 1  # blocks of its benchmarks that run in every round
    apart: dict[str, MachineResults] = field(default_factory=dict)  # by profile: judged with it
    environment: str = ""  # in words: "Python 3.11, torch 2.14"

    @property
    def profile(self) -> str:
        return str(self.provenance.get("profile", ""))


@dataclass
class Evidence:
    """`cells`: columns machine, benchmark, metric, unit, version, the factors, samples (list or
    None; NaN for a block that other programs disturbed), median, other (asv's result is not the
    median of asv's samples), q25, q75, repeat, status ("ok", "skipped", "failed", "incomplete"),
    reason (a `Reason`, or None), rounds and profile of the run that measured it."""

    cells: pd.DataFrame
    machines: list[MachineResults] = field(default_factory=list)
    unused: tuple[str, ...] = ()  # second runs that are compared with nothing, by their files

    @property
    def newest(self) -> MachineResults:
        """The machine that was measured last."""
        return max(self.machines, key=lambda machine: machine.measured)

    def of_runs(self, what: Literal["rounds", "profile"]) -> dict[tuple[str, str], Any]:
        """Rounds or profile of the run that measured a benchmark, by machine and name in asv."""
        runs = self.cells.drop_duplicates(["machine", "name"])
        return dict(zip(zip(runs["machine"], runs["name"], strict=True), runs[what], strict=True))

    def joined(self, other: Evidence) -> Evidence:
        """Both together; of a machine in both, this one's provenance and the logs of both.

        Raises:
            StudyError: both measured the same benchmark on the same machine.
        """
        measured = [set(zip(each.cells["machine"], each.cells["benchmark"], strict=True))
                    for each in (self, other)]  # fmt: skip
        if twice := sorted(measured[0] & measured[1]):
            raise StudyError(
                f"Two runs that are judged together hold {twice[0][1]} of the machine "
                f"{twice[0][0]}; its cells would count twice, so name only one of them."
            )
        joining = {machine.name: machine for machine in other.machines}
        machines = []
        for machine in self.machines:
            more = joining.pop(machine.name, None)
            log = [*machine.observations, *(more.observations if more else [])]
            apart = {**machine.apart, more.profile: more} if more else machine.apart
            machines.append(replace(machine, observations=log, apart=apart))
        machines += joining.values()
        return Evidence(pd.concat([self.cells, other.cells], ignore_index=True), machines)

    def of(self, names: Collection[str]) -> Evidence:
        """What the machines of these names measured."""
        return Evidence(
            self.cells[self.cells["machine"].isin(names)],
            [machine for machine in self.machines if machine.name in names],
        )


def evidence_of(runs: Runs, beside: Mapping[str, str] | None = None) -> Evidence:
    """The cells of what is judged: a run of each machine, and those of the profiles apart.

    A benchmark counts in its newest version only, among `runs` and those `beside` that they are
    compared with: numbers of two meanings are not compared.

    Raises:
        StudyError: a file is damaged, or of another suite.
    """
    versions = newest_versions([runs.versions, beside or {}])
    found = _read(runs.first, versions)
    for profile in APART:
        if of_it := [one for one in runs.apart if one.profile == profile]:
            found = found.joined(_read(of_it, versions))
    return replace(found, unused=tuple(one.path.stem for one in runs.unused))


def _read(files: Sequence[ResultFile], versions: Mapping[str, str]) -> Evidence:
    rows: list[dict[str, Any]] = []
    machines = []
    for one in files:
        found = _cells_of(one, versions)
        rounds = max((len(row["samples"]) for row in found if row["samples"]), default=1)
        rows += [row | {"rounds": rounds, "profile": one.profile} for row in found]
        machines.append(
            MachineResults(
                name=one.machine,
                commit=one.results.commit_hash,
                params=dict(one.results.params),
                provenance=one.beside.provenance,
                observations=one.beside.observations,
                # Also where no cell counts, for example since its benchmark changed its meaning.
                sampled=any(any(cells or ()) for cells in one.results._samples.values()),
                measured=one.started,
                rounds=rounds,
                environment=str(one.environment),
            )
        )
    # Object columns keep levels as they are: a factor that some benchmarks lack would make 256 px
    # into 256.0.
    table = pd.DataFrame([dict.fromkeys(NAMES) | row for row in rows], dtype=object)
    for column in ("median", "q25", "q75"):
        table[column] = table[column].astype(float)
    return Evidence(table.sort_values(["machine", "benchmark"], kind="stable"), machines)


def _cells_of(one: ResultFile, versions: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        found = _rows(one.machine, one.results, one.suite, versions, one.beside.skipped())
        _leave_out(found, observed.disturbed(one.beside.observations))
        found += observed.further(found, one.beside.observations)
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise StudyError(
            f"{one.path} is damaged ({_short(error)}), or does not fit "
            f"{one.path.parents[1] / 'benchmarks.json'}; restore both or run the study again."
        ) from error
    if not found:
        raise StudyError(
            f"{one.path} holds results of another asv suite; name the results folder of this study."
        )
    return found


def _rows(
    machine: str,
    results: Results,
    units: dict[str, Any],
    versions: Mapping[str, str],
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
        if math.prod(map(len, params)) > MOST_CELLS:
            raise ValueError(f"the levels of {key} make more than {MOST_CELLS:,} cells")
        known = {level: level_of(level, key) for each in params for level in each}
        values = results.get_result_value(key, params)
        samples = results.get_result_samples(key, params) if results._samples.get(key) else None
        stats = results.get_result_stats(key, params) if results._stats.get(key) else None
        every = list(itertools.chain.from_iterable(filter(None, samples or [])))
        if not all(map(_is_number, every)):
            raise ValueError(f"a sample of {key} is no finite number")
        if not all(value is None or _is_nan(value) or _is_number(value) for value in values):
            raise ValueError(f"a value of {key} is no number")
        if entry["unit"] in TIMES and min(every, default=1) <= 0:
            raise ValueError(f"a sample of {key} is no time above 0")
        most = max((len(cell) for cell in samples or [] if cell), default=0)
        outdated = _outdated(results.benchmark_version.get(key), versions.get(key))
        for position, levels in enumerate(itertools.product(*params)):
            plain = [known[level] for level in levels]
            factors = dict(zip(entry["param_names"], plain, strict=True))
            logged = reasons.get((module, tuple(sorted(factors.items()))))
            rows.append(
                {
                    "machine": machine,
                    "benchmark": module,
                    "name": key,
                    "metric": method.removeprefix("track_"),
                    "unit": entry.get("unit", ""),
                    "version": results.benchmark_version.get(key),
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
    try:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(float(value))
        )
    except OverflowError:  # a whole number that no measurement gives
        return False


def _is_nan(value: object) -> bool:
    """As asv writes a cell that was skipped."""
    return isinstance(value, float) and math.isnan(value)


def _leave_out(rows: list[dict[str, Any]], disturbed: Mapping[Place, list[bool]]) -> None:
    """Put NaN in the place of samples that were taken while other programs used the CPU.

    The number stands in asv's file, because asv wants one each round; only the load decides, never
    the value. Whoever compares leaves such a block out whole (`inference.undisturbed`).
    """
    for row in rows:
        blocks = disturbed.get(place_of_row(row))
        if blocks is None or row["status"] != "ok":
            continue
        samples, reason = observed.left_out(row["samples"], blocks)
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
    samples than its neighbours no longer lines up with their blocks. Its median is made here of
    the samples, which are held against the log; asv's own counts where it kept none.
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
    median = (statistics.median(samples) if samples else value) if status == "ok" else None
    return {
        "samples": list(samples) if samples and status == "ok" else None,
        "median": median,
        "other": median is not None and value is not None and not math.isclose(median, value),
        "q25": stats.get("q_25"),
        "q75": stats.get("q_75"),
        "repeat": int(stats.get("repeat") or (len(samples) if samples else 1)),
        "status": status,
        "reason": None if status == "ok" else reason,
    }
