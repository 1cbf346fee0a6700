"""Which result files of a folder are judged, by their names and by the provenance beside them.

Of a machine's runs in its reference environment the newest counts; those in other environments are
judged by themselves, in the same way. The newest run of each profile that stands apart is judged
with it, because they have no cell in common. A second run, of the same profile and code, is there
to be compared: one whose environment says so in its name, or an earlier one, measured under another
commit.
A quick run beside a wider one of the same environment is the base that quick runs of other
environments are compared with, and enters no verdict.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from asv import util
from asv.machine import Machine
from asv.results import Results, get_filename, iter_results_paths

from datasets_impl.errors import StudyError
from datasets_impl.factors import APART
from scripts.judging.beside import MachineFiles, require_readable
from scripts.judging.environments import Environment, reference
from scripts.judging.readable import readable
from scripts.judging.suites import place_of_suite, require_told, suite_in, unread

RESULT = re.compile(r"[0-9a-f]{8}-.*\.json$")  # as asv names a file of results
QUICK = "quick"  # the profile of which an environment may have a run beside one of these
WIDER = ("standard", "full")
MOST_TIME = 1 << 53  # milliseconds; neither infinite nor NaN
REPEAT = "-repeat"  # ends the name of a second run's environment


@dataclass(frozen=True, eq=False)
class ResultFile:
    """One run of a machine: asv's result file, and what `benchmarks.json` says of its suite."""

    machine: str
    path: Path
    results: Results
    suite: dict[str, Any]

    @cached_property
    def beside(self) -> MachineFiles:
        return MachineFiles(self.path)

    @property
    def started(self) -> int:
        """When its last benchmark started, in milliseconds since 1970."""
        return max([value or 0 for value in self.results.started_at.values()], default=0)

    @property
    def profile(self) -> str:
        return str(self.beside.provenance.get("profile", ""))

    @property
    def versions(self) -> dict[str, str]:
        """Of the benchmarks that it measured."""
        found = self.results.benchmark_version
        return {name: str(version) for name, version in found.items() if version}

    @cached_property
    def environment(self) -> Environment:
        return Environment.of(self.results.params)

    @property
    def repeats(self) -> bool:
        return self.path.stem.endswith(REPEAT)

    def again(self, first: ResultFile) -> bool:
        """Whether it is a second run of what `first` measured, by the same code."""
        asked = ("code_hash", "profile", "partial")
        here, there = ([one.beside.provenance.get(name) for name in asked] for one in (self, first))
        apart = self.results.commit_hash != first.results.commit_hash
        told = self.repeats or (here[0] is not None and apart)
        return self is not first and here == there and told


@dataclass
class Runs:
    """Result files, one for each machine: what is judged, and the second run's; and `apart`, one
    for each machine and profile that stands apart, which is judged with the first.

    `others` holds the same for each environment beside a machine's reference, in the order of their
    names.
    """

    first: list[ResultFile] = field(default_factory=list)
    apart: list[ResultFile] = field(default_factory=list)
    second: list[ResultFile] = field(default_factory=list)
    # The newest of each benchmark: of these runs, or of a suite that none has run yet.
    versions: dict[str, str] = field(default_factory=dict)
    quick: list[ResultFile] = field(default_factory=list)  # beside a wider one, and not judged
    unused: list[ResultFile] = field(default_factory=list)  # second runs of something else
    others: list[Runs] = field(default_factory=list)

    def add(self, runs: Sequence[ResultFile]) -> None:
        """Choose from what one machine measured in one environment, the oldest first."""
        _refuse_two_homes(runs)
        apart = [[one for one in runs if one.profile == profile] for profile in APART]
        newest = [_newest(each) for each in apart if each]
        others = [one for one in runs if one.profile not in APART]
        wider = [one for one in others if one.profile in WIDER]
        first = _newest(wider or others or newest)
        self.first.append(first)
        self.apart += [one for one in newest if one is not first]
        self.quick += [one for one in others if wider and one.profile == QUICK][-1:]
        second = [one for one in runs if one.again(first)][-1:]
        self.second += second
        self.unused += [one for one in runs if one.repeats and one not in (first, *second)]


def find_runs(folders: Sequence[Path]) -> Runs:
    """Read every machine below `folders` and choose.

    Raises:
        StudyError: a folder is missing or holds no results, or a file is damaged.
    """
    return chosen(every_run(folders))


def chosen(files: Sequence[ResultFile]) -> Runs:
    """Choose from all of them, the oldest first.

    Raises:
        StudyError: it cannot be told which runs of a machine are meant.
    """
    machines: dict[str, dict[Environment, list[ResultFile]]] = {}
    for one in files:
        machines.setdefault(one.machine, {}).setdefault(one.environment, []).append(one)
    found = Runs()
    others: dict[str, Runs] = {}
    for _, environments in sorted(machines.items()):
        found.add(environments.pop(reference(environments)))
        for environment, runs in environments.items():
            others.setdefault(str(environment), Runs()).add(runs)
    found.others = [others[name] for name in sorted(others)]
    found.unused += [one for other in found.others for one in other.unused]
    _tell_versions(found, files)
    return found


def _tell_versions(found: Runs, files: Sequence[ResultFile]) -> None:
    """What was measured in one environment makes nothing of another's outdated."""
    measured = {pair for one in files for pair in one.versions.items()}
    told = newest_versions(versions_of(one.suite) for one in files)
    raised = dict(told.items() - measured)
    for runs in (found, *found.others):
        judged = (*runs.first, *runs.apart, *runs.second)
        runs.versions = newest_versions([raised, *(one.versions for one in judged)])


def every_run(folders: Sequence[Path]) -> list[ResultFile]:
    """All result files of every machine below `folders`, the oldest first.

    Raises:
        StudyError: see `find_runs`.
    """
    files = {one.path.resolve(): one for folder in folders for one in _read(folder)}
    if not files:
        raise StudyError(
            f"No asv results in {', '.join(map(str, folders))}; run `make study` or `asv run` "
            "first."
        )
    return sorted(files.values(), key=lambda one: (one.started, one.path))


def newest_versions(suites: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The version of each benchmark, the highest where the suites differ."""
    found: dict[str, str] = {}
    for suite in suites:
        for name, version in suite.items():
            found[name] = max(found.get(name, ""), version, key=_counted)
    return found


def _counted(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0, version)


def versions_of(suite: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(entry["version"])
        for name, entry in suite.items()
        if isinstance(entry, dict) and entry.get("version")
    }


def _newest(runs: Sequence[ResultFile]) -> ResultFile:
    """The last in time that is no second run, if there is one."""
    return ([one for one in runs if not one.repeats] or runs)[-1]


def _refuse_two_homes(runs: Sequence[ResultFile]) -> None:
    """Two folders of one machine: which of their runs is meant to be judged, cannot be told.

    Raises:
        StudyError: both have runs of one kind.
    """
    homes: dict[tuple[str, bool], Path] = {}
    for one in runs:
        kind = one.profile if one.profile in APART else ""
        home = homes.setdefault((kind, one.repeats), one.path.parent)
        if not home.samefile(one.path.parent):
            raise StudyError(
                f"{home} and {one.path.parent} hold results of one machine, {one.machine}; name "
                "one of them (`python -m scripts.compare` compares two runs of a machine)."
            )


def _read(folder: Path) -> Iterator[ResultFile]:
    if not os.path.isdir(folder):  # noqa: PTH112 - False too for a name that cannot be
        what = "is a file" if os.path.exists(folder) else "does not exist"  # noqa: PTH110
        raise StudyError(
            f"The results folder {folder} {what}; run `make study` or name another one."
        )
    place = place_of_suite(folder)
    suite = suite_in(place)
    for root, name, machine in _result_files(folder):
        path = Path(root) / name
        results = _load(path, machine)
        require_told(place, suite, path, results.get_all_result_keys())
        yield ResultFile(readable(machine), path, results, suite)


def _result_files(folder: Path) -> list[tuple[str, str, str]]:
    for each in filter(os.path.isdir, folder.iterdir()):  # `glob` skips what may not be listed
        try:
            os.scandir(each).close()
        except OSError as error:
            raise StudyError(
                f"{each} cannot be read ({error.strerror}); mend its rights, or move it away."
            ) from error
    results = [*folder.glob("*.json"), *folder.glob("*/*.json")]
    homes = sorted({result.parent for result in results if RESULT.match(result.name)})
    # asv skips a machine's results when it cannot read this file; nothing is to vanish unsaid.
    for home in homes:
        path = home / "machine.json"
        damaged = "is missing or damaged; restore it or run asv again."
        require_readable(path)
        try:
            name = util.load_json(str(path), Machine.api_version)["machine"]
        except (OSError, KeyError, TypeError, ValueError, RecursionError, util.UserError) as error:
            raise unread(path, error, damaged) from error
        if not isinstance(name, str):
            raise StudyError(f"{path} {damaged}")
    # Each machine by itself: asv would warn of the report's own JSON files beside them.
    found = sorted(each for home in homes for each in iter_results_paths(str(home)))
    return [each for each in found if RESULT.match(each[1])]  # other files are somebody else's


def _load(path: Path, machine: str) -> Results:
    require_readable(path)
    try:
        found = Results.load(str(path), machine_name=machine)
        name = get_filename("", found.commit_hash, util.sanitize_filename(found.env_name))
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); mend its rights.") from error
    except (
        util.UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        why = "is damaged or cut short; restore it, or run the study again."
        if "machine name" in str(error):
            why = f"is not of the machine {machine}, which {path.parent / 'machine.json'} names."
        raise unread(path, error, why) from error
    if odd := [key for key, when in found.started_at.items() if not _is_time(when)]:
        raise StudyError(
            f"{path} is damaged (of {readable(odd[0])}, `started_at` is no time); restore it, or "
            "run the study again."
        )
    if path.name != name:
        raise StudyError(
            f"{path} holds the run {readable(name)} under another name, as a backup or a merge "
            "leaves it; move it away, or give it that name back."
        )
    return found


def _is_time(when: object) -> bool:
    """As asv says it, in milliseconds; None where it was not kept."""
    return when is None or (isinstance(when, int | float) and abs(when) < MOST_TIME)
