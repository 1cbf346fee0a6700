"""What a finished session publishes: results for the judge, and asv's own pages of them.

Results of other machines, of other commits, and files that are not this study's stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asv import util
from asv.machine import Machine
from asv.results import Results

from datasets_impl.errors import StudyError
from datasets_impl.factors import TOPICS
from datasets_impl.files.atomic import atomic_write, describe_write_error, with_line_ends_of
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE, home_folder, printable
from datasets_impl.files.records import json_of
from datasets_impl.files.replacing import check_replaceable, put_in_place, remove_ours
from scripts.judging.environments import Environment
from scripts.judging.profiles import Standing, spoiled
from scripts.root import ROOT
from scripts.session import asv_files, provenance
from scripts.session.asv_files import LIST
from scripts.session.child import run_child
from scripts.session.named_asv import ASV
from scripts.session.rounds import Session
from scripts.session.state import PAGES


def check_results(
    target: Path,
    machine: str,
    profile: str,
    *,
    bench: str | None = None,
    images: str | Path | None = None,
    repeat: bool = False,
) -> None:
    """Whether results of `machine` may be published to `target`; nothing is changed.

    Raises:
        StudyError: they would replace what is not this study's, or results of another machine, of
            other pictures or benchmarks, or whole results by a part; or spoil those of another
            profile, see `judging.profiles`.
    """
    if target.exists() and not target.is_dir():
        raise StudyError(f"{target} is a file; name a folder for the results with --results.")
    check_suite(target)
    home = target / machine
    check_replaceable(home, lambda folder: is_home(folder, machine), what="results of a machine")
    told = provenance.here(profile)
    name, known = asv_files.environment_name(told, repeat), list(_provenance(target))
    other = spoiled(
        Standing(machine, Environment.told(told), profile),
        [Standing(path.parent.name, Environment.told(facts), str(facts.get("profile", profile)))
         for path, facts in known],
    )  # fmt: skip
    if other:
        raise StudyError(
            f"{target} holds results of the profile {other.profile}, which those of "
            f"{profile} would spoil; name another folder with --results."
        )
    for path, facts in known:
        same = path.name.endswith(f"-{name}.provenance.jsonl")
        of = facts.get("bench", bench) if facts.get("partial") else "the whole profile"
        if path.parent == home and same and bench and of != bench:
            raise StudyError(
                f"{home} holds results of {of}, which those of --bench {bench} would replace; "
                "name another folder with --results."
            )
        others = {one.get("folder") for one in facts.get("corpora", ())} - {_pictures(images)}
        if path.parent == home and others:
            raise StudyError(
                f"{home} holds results of other pictures ({others.pop() or 'the usual ones'}), "
                "which these would replace or be compared with; name another folder with --results."
            )
        here = provenance.processor()
        there = {name: facts.get("machine", {}).get(name) for name in here}
        if path.parent == home and there != here:
            raise StudyError(
                f"{home} holds results of another machine ({there['cpu']}, {there['threads']} "
                "CPUs); name this one with --machine."
            )


def _pictures(images: str | Path | None) -> str | None:
    """The name of a folder of pictures, as the manifests of what is made of it have it."""
    return printable(Path(images).resolve().name) if images else None


def check_suite(target: Path) -> None:
    """Raises `StudyError` where the results in `target` are those of another project of asv."""
    check_replaceable(target / "benchmarks.json", _is_ours, what="this study's benchmarks.json")


def publish(session: Session, target: Path) -> None:
    """Copy the finished session into `target`, each file atomically, without local paths.

    Raises:
        StudyError: the session is not finished, or see `check_results`; or it cannot be written.
    """
    state = session.state
    if state["done"] < state["planned"]:
        raise StudyError("The session is not finished; run the same command again.")
    key = state["key"]
    repeat = bool(key["repeat"])
    asked = {"bench": key["bench"], "images": key["images"], "repeat": repeat}
    check_results(target, session.machine, key["profile"], **asked)
    facts = provenance.collect(state, session.environment, session.corpora)
    source, home = session.results, target / session.machine
    try:
        home.mkdir(parents=True, exist_ok=True)
        told = asv_files.machine(session.machine, facts) | {"version": Machine.api_version}
        for path, content in (
            (target / "benchmarks.json", _benchmarks(source, target)),
            (home / "machine.json", json.dumps(told, indent=4, sort_keys=True).encode()),
        ):
            atomic_write(path, with_line_ends_of(path, content))
        for path in sorted((source / session.machine).glob("*-*.json")):
            data = util.load_json(str(path), Results.api_version)
            data = asv_files.result(data, facts, repeat)
            stem = f"{data['commit_hash'][:8]}-{data['env_name']}"
            texts = {
                "provenance.jsonl": json.dumps(facts, sort_keys=True),
                "observations.jsonl": session.log.read_text(encoding="utf-8"),
                "json": json.dumps({**data, "version": Results.api_version}),
            }
            for suffix, text in texts.items():
                atomic_write(home / f"{stem}.{suffix}", _without_paths(text, session))
    except OSError as error:
        raise describe_write_error(error, target) from error


def make_pages(session: Session, results: Path, pages: Path) -> None:
    """Let asv publish `results` as its own pages, which the report links to.

    asv empties the folder it writes to, so it writes to one of the session.

    Raises:
        StudyError: `pages` is somebody else's, or asv failed.
    """
    made = session.folder / PAGES
    remove_ours(made, _half_made, what="asv's own pages")
    config = session.configure(results, made)
    run_child(
        [*ASV, "publish", "--no-pull", "--config", str(config)],
        session.environment,
        what="Publishing asv's own pages",
        output=session.folder / "asv.log",
    )
    put_pages(made, pages)


def put_pages(made: Path, pages: Path) -> None:
    """Put the pages that asv wrote into `made` in the place of those in `pages`.

    Raises:
        StudyError: `pages` is somebody else's.
    """
    list_pages(made)
    put_in_place(made, pages, is_pages, what="asv's own pages")


def list_pages(made: Path) -> None:
    """Write down which files asv's pages in `made` are."""
    (made / LIST).write_text(json.dumps({"files": _inside(made)}))


def is_pages(folder: Path) -> bool:
    """Whether a folder holds asv's pages of this project, and nobody else's file."""
    project = asv_files.settings()["project"]
    files = _object(folder / LIST).get("files")  # none of pages that were made before it was kept
    ours = set(_inside(folder)) <= {LIST, *files} if isinstance(files, list) else _half_made(folder)
    return ours and bool(_object(folder / "index.json").get("project") == project)


def _half_made(folder: Path) -> bool:
    """Whether asv names every file there so, among its pages."""
    return all(map(asv_files.is_page, asv_files.inside(folder)))


def _inside(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _benchmarks(source: Path, target: Path) -> bytes:
    return benchmarks_of((source / "benchmarks.json").read_bytes(), _results(source), target)


def benchmarks_of(said: bytes, results: Iterable[Mapping[str, Any]], target: Path) -> bytes:
    """What asv says of the suite, in one file for all that `target` will have results of.

    `said` is what the suite says that `results`, asv's files, are of. Of a benchmark that only
    others in `target` measured it keeps what it said: a run of another profile changes nothing of
    theirs, and a former benchmark can still be read. One that both measured has the levels of all:
    asv's pages show no others.
    """
    known = json.loads(said)
    former = _object(target / "benchmarks.json")
    measured, others = _measured(results), _measured(_results(target))
    for name in measured.keys() & others.keys() & known.keys():
        known[name] = _with_levels(known[name], others[name])
    kept = {name: former[name] for name in former if name in others.keys() - measured.keys()}
    return json.dumps(known | kept, indent=4, sort_keys=True).encode()


def _results(folder: Path) -> Iterator[dict[str, Any]]:
    return (_object(path) for path in sorted(folder.glob("*/*-*.json")))


def _measured(results: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What each result says of a benchmark, by asv's names of its columns."""
    found: dict[str, list[dict[str, Any]]] = {}
    for data in results:
        rows, columns = data.get("results"), data.get("result_columns")
        for name, row in rows.items() if isinstance(rows, dict) else ():
            whole = isinstance(row, list) and isinstance(columns, list)
            told = dict(zip(columns, row, strict=False)) if whole else {}  # type: ignore[arg-type]
            found.setdefault(name, []).append(told)
    return found


def _with_levels(entry: dict[str, Any], others: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`entry` of a suite with the levels that results of its version have beside its own."""
    found = [dict.fromkeys(own) for own in entry["params"]]
    for told in others:
        params: list[Any] = told.get("params") or []
        alike = told.get("version") == entry.get("version")
        if alike and len(params) == len(found):
            for levels, more in zip(found, params, strict=True):
                levels |= dict.fromkeys(map(str, more))
    own = entry["params"]
    params = [
        before if len(before) == len(levels) else _in_order(list(levels))
        for before, levels in zip(own, found, strict=True)
    ]
    return entry | {"params": params}


def _in_order(levels: Sequence[str]) -> list[str]:
    """Numbers by size; words as they come."""
    try:
        return sorted(levels, key=float)
    except ValueError:
        return list(levels)


def _is_ours(benchmarks: Path) -> bool:
    """Whether asv wrote this file for this suite."""
    names = [name for name in _object(benchmarks) if name != "version"]
    return bool(names) and all(
        name.partition(".")[0] in TOPICS and ".track_" in name for name in names
    )


def is_home(folder: Path, machine: str) -> bool:
    """Whether a folder is asv's for `machine`, or has only what a killed writer left in it."""
    begun = all(path.match(".*.tmp") for path in folder.iterdir())
    return begun or _object(folder / "machine.json").get("machine") == machine


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none."""
    try:
        found = json_of(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _provenance(target: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where each result of a folder was measured, with the file that says so."""
    for path in sorted(target.glob("*/*.provenance.jsonl")):
        yield path, _object(path)


def _without_paths(text: str, session: Session) -> str:
    """`text` with this machine's folders replaced by what they are, such as `<project>`."""
    folders = {
        str(ROOT): "<project>",
        str(session.folder.parent): "<out>",
        session.environment[CACHE_VARIABLE]: "<cache>",
        session.environment.get(IMAGES_VARIABLE, ""): "<images>",
        str(home_folder()): "<home>",
    }
    for folder in sorted(folders, key=len, reverse=True):
        if len(Path(folder).parts) > 1:
            # As the path stands in JSON: quotes and letters beyond ASCII are escaped there.
            known = re.escape(json.dumps(folder)[1:-1])
            text = re.sub(rf"{known}(?![\w.-])", folders[folder], text)
    return text
