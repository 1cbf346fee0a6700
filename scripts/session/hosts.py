"""The same study once on each host of a Dask cluster, and what of it is taken in.

Each host has a clone of the project of its own, which its workers run in. What travels there is a
function by value and words; what comes back are the files that the study published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.system.scheduler import awaited
from scripts.session import alone, provenance, publishing

Files = Mapping[str, bytes]  # a results folder, by path in it
EXPECTED = re.compile(r"benchmarks\.json|[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
ASK = (
    "import json; from scripts.session import provenance as p; "
    "print(json.dumps({'name': p.machine_name(), 'claims': p.claims_hash(), **p.code_state()}))"
)


def own() -> dict[str, Any]:
    """What this clone measures and judges by, which every host is held against."""
    return {"claims": provenance.claims_hash(), **provenance.code_state()}


def study_each(
    client: Any,
    workers: Mapping[str, str],
    folder: str,
    words: Sequence[str],
    wanted: Mapping[str, Any],
    tell: Callable[[str], None],
) -> dict[str, Files]:
    """Run the study with the options `words` on each host at the same time; its files, by host.

    It works in out/`folder` of the host's clone, where the next one goes on if this is stopped.

    A host with another commit or other rules than `wanted` (see `own`) is refused before it
    measures, as is a second address of a machine, and one whose study fails is left out; `tell`
    gets a sentence for each, and for one that did other work meanwhile.

    Raises:
        StudyError: another study holds one of the hosts.
    """
    watch = alone.Watch(client)
    asked = {host: (worker,) for host, worker in workers.items()}
    about = {
        host: json.loads(said)
        for host, said in _on_each(client, _ask(), asked, tell, watch.asks).items()
    }
    calls: dict[str, tuple[Any, ...]] = {}
    names: list[str] = []
    measures: dict[str, str] = {}  # the host at which each machine does
    for host, facts in about.items():
        refusal = _refused(facts, wanted)
        if not refusal and measures.setdefault(facts["host"], host) != host:
            refusal = alone.other_address(measures[facts["host"]])
        if refusal:
            tell(f"{host} is left out: {refusal}.")
            continue
        names.append(facts["name"])
        again = names.count(facts["name"])
        name = facts["name"] + (f"-{again}" if again > 1 else "")
        calls[host] = (workers[host], folder, [*words, "--machine", name])
    with alone.held(client, measures):
        found: dict[str, Files] = _on_each(client, _study(), calls, tell, watch.studies)
        others = watch.others()
    for host in found:
        at = [each for each in about if about[each]["host"] == about[host]["host"]]
        if count := sum(others[each] for each in at):
            tell(
                f"{host} was not alone: {count:,} other tasks ran on it meanwhile, and what they "
                "made slower is not told apart; delete its results and measure again."
            )
    return found


def _refused(facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if facts["commit"] != wanted["commit"]:
        return f"its clone is at {facts['commit'][:8]}, and this one at {wanted['commit'][:8]}"
    if facts["hash"] != wanted["hash"]:
        return "its measured code is not that of this clone"
    return "it judges by other rules" if facts["claims"] != wanted["claims"] else ""


def _on_each(
    client: Any,
    function: Callable[..., Any],
    calls: Mapping[str, tuple[Any, ...]],
    tell: Callable[[str], None],
    key: Callable[[str], str | None] = lambda host: None,
) -> dict[str, Any]:
    """What `function` returns on the worker that each call begins with, as the task `key`."""
    futures = {
        host: client.submit(
            function,
            *given,
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
            key=key(host),
        )
        for host, (worker, *given) in calls.items()
    }
    found = {}
    for host, future in futures.items():
        try:
            found[host] = awaited(client, future, only=calls[host][0])
        except Exception as error:  # whatever a host does, the others' results count
            said = str(error).strip().splitlines() or [type(error).__name__]
            tell(f"{host} is left out: {said[-1]}")
    return found


# The next three return functions that travel by value: a worker cannot import this module.
def _clone() -> Callable[[], Path]:
    """Where the clone lies whose environment a worker runs in."""

    def clone() -> Path:
        from importlib.util import find_spec

        found = find_spec("datasets_impl")
        if found is None or not found.origin:
            raise RuntimeError("its workers run in no environment of this project")
        return Path(found.origin).parents[1]

    return clone


def _ask() -> Callable[..., str]:
    code, clone, machine = ASK, _clone(), alone.machine()

    def ask() -> str:
        import json
        import subprocess
        import sys

        asked = [sys.executable, "-c", code]
        done = subprocess.run(asked, cwd=clone(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or "it has no clone of this project")
        return json.dumps({**json.loads(done.stdout), "host": machine()})

    return ask


def _study() -> Callable[..., dict[str, bytes]]:
    clone = _clone()

    def study(folder: str, words: list[str]) -> dict[str, bytes]:
        import subprocess
        import sys

        root = clone()
        out = root / "out" / folder
        command = [sys.executable, "-m", "scripts.study", "--no-page", *words, f"--out={out}"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
        results = out / "results"
        # Another name may have been this host's before, and its results stand there too.
        sent = [results / "benchmarks.json", *(results / words[-1]).iterdir()]
        files = (path for path in sent if path.is_file())
        return {str(path.relative_to(results)): path.read_bytes() for path in files}

    return study


def gather(
    found: Mapping[str, Files],
    wanted: Mapping[str, Any],
    target: Path,
    tell: Callable[[str], None],
) -> list[str]:
    """Write what the hosts published into `target`; the machines taken in, as folders there.

    `wanted` is `own` with this clone's `pictures`. What a host has of other commits stays there,
    and `tell` gets a sentence for one whose results are not of that code, those rules and pictures.

    Raises:
        StudyError: a file of somebody else is in the way, or `target` cannot be written.
    """
    taken: list[str] = []
    for host, sent in found.items():
        if odd := [name for name in sent if not EXPECTED.fullmatch(name)]:
            tell(f"{host} is left out: it sent {odd[0]}, which is no file of results.")
            continue
        try:
            machine, files = _told(sent, wanted["commit"])
            refusal = _measured_otherwise(files, wanted)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            refusal = "what it sent are no results of one machine"
        if refusal:
            tell(f"{host} is left out: {refusal}.")
            continue
        publishing.check_suite(target)
        home = target / machine
        check_replaceable(home, lambda at: publishing.is_home(at, at.name), what="a machine's")
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if name == "benchmarks.json":
                content = publishing.benchmarks_of(content, _parsed(files).values(), target)
            atomic_write(target / name, content)
        taken.append(machine)
    return taken


def _told(sent: Files, commit: str) -> tuple[str, Files]:
    """The machine that results are of, and of its files those of `commit`, or of any.

    Raises:
        Exception: what was sent is of none, of several, or damaged.
    """
    (machine,) = {Path(name).parts[0] for name in sent if "/" in name}
    known = [json.loads(sent[name]) for name in ("benchmarks.json", f"{machine}/machine.json")]
    if known[1]["machine"] != machine:
        raise ValueError("its folder bears another name")
    of_all = {"benchmarks.json", f"{machine}/machine.json"}
    begun = f"{machine}/{commit[:8]}-"
    return machine, {
        name: text for name, text in sent.items() if name in of_all or name.startswith(begun)
    }


def _measured_otherwise(files: Files, wanted: Mapping[str, Any]) -> str:
    """Why one of the results is not what this clone measures, or ""."""
    results = [name for name in _parsed(files) if not name.endswith("/machine.json")]
    if not results:
        return f"it sent no results of commit {wanted['commit'][:8]}"
    for name in results:
        facts = json.loads(files[name.removesuffix(".json") + ".provenance.jsonl"])
        said = {"hash": facts["code_hash"], "claims": facts["claims_hash"], **facts}
        if refusal := _refused(said, wanted):
            return refusal
        if pictures(facts["corpora"]) != wanted["pictures"]:
            return "it measured other pictures than this clone does"
    return ""


def pictures(corpora: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """What tells the pictures of one study from those of another, from their manifests."""
    return sorted((one["label"], one["resolution"], one["content_hash"]) for one in corpora)


def _parsed(files: Files) -> dict[str, dict[str, Any]]:
    found = {name: json.loads(files[name]) for name in files if re.search(r"/.*\.json$", name)}
    if not all(isinstance(each, dict) for each in found.values()):
        raise ValueError("a file holds something else")
    return found
