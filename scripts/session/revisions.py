"""Two revisions of the measured code, each in a folder of its own, measured round by round in turn.

Both are exported from git, so that the work tree may change meanwhile and neither differs from the
other in where it lies. One interpreter measures both: a change of pinned versions is no part of it.
"""

from __future__ import annotations

import ast
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import seal
from datasets_impl.streams import escaped
from scripts.judging.runs import every_run
from scripts.session import provenance, state
from scripts.session.child import answer, run_child
from scripts.session.provenance import git
from scripts.session.rounds import Session, expression, measurements_bar

CODE = ("benchmarks", "datasets_impl")


def commit_of(name: str) -> str:
    """The commit that `name` means.

    Raises:
        StudyError: it means none, or nothing that can be measured beside this one.
    """
    git("rev-parse", "HEAD")  # what is wrong with the clone is another matter
    try:
        commit = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        git("cat-file", "-e", f"{commit}:benchmarks/prepare.py")
    except StudyError as error:
        raise StudyError(
            f"BASE is {name!r}, which is no revision of this project's git history that has a "
            "suite of benchmarks; give one, such as BASE=main or BASE=HEAD~1."
        ) from error
    return commit


def without_graphs(results: Path) -> str:
    """What asv's pages of `results` lack, and the remedy, in a sentence; "" where they are whole.

    Of a commit that is neither in the history of the one that is checked out nor tagged, asv draws
    nothing, and ends well.

    Raises:
        StudyError: see `git` and `every_run`.
    """
    measured = {run.results.commit_hash for run in every_run([results])}
    tags = git("for-each-ref", "--format=%(objectname) %(*objectname)", "refs/tags")
    lacking = sorted(measured - {*git("rev-list", "HEAD").split(), *tags.split()})
    if not lacking:
        return ""
    names = escaped(", ".join(one[:8] for one in lacking))
    return (
        f"asv's pages are without the results of {names}, which this branch does not have; check "
        "out one that has them, in a shallow clone after `git fetch --unshallow`, and run it again."
    )


def changed_files(base: str, head: str) -> list[str]:
    """Python files that are measured and differ; comments and docstrings do not count."""
    listed = git("diff-tree", "-r", "--name-only", "--no-renames", "-z", base, head, "--", *CODE)
    files = [name for name in listed.split("\0") if name.endswith(".py")]
    return [name for name in files if _code(base, name) != _code(head, name)]


def _code(commit: str, file: str) -> str:
    try:
        tree = ast.parse(git("cat-file", "blob", f"{commit}:{file}"))
    except (
        StudyError,
        SyntaxError,
        ValueError,
    ):  # not there, or no Python: the benchmark says so
        return commit
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)


def touched(files: Sequence[str], bench: str | None, variables: dict[str, str]) -> dict[str, Any]:
    """What `benchmarks.touched` says of `files`, by the code of this folder."""
    return _asked("benchmarks.touched", *files, bench=bench, variables=variables)


def planned(variables: dict[str, str]) -> dict[str, Any]:
    """Every benchmark of the code that `variables` lead to."""
    return _asked("benchmarks.plan", bench=None, variables=variables)


def _asked(
    module: str, *words: str, bench: str | None, variables: dict[str, str]
) -> dict[str, Any]:
    # -P: the package is looked for where PYTHONPATH says, and not in this folder first.
    command = [sys.executable, "-P", "-m", module, *words]
    command += [f"--bench={bench}"] if bench is not None else []
    said = answer(command, variables, what="Asking the suite for its benchmarks")
    found: dict[str, Any] = json.loads(said)
    return found


def exported(commit: str, root: Path, profile: str) -> dict[str, str]:
    """Write the measured code of `commit` into the new folder `root`; how to measure it there."""
    root.mkdir()
    archive = root.with_suffix(".tar")
    git("archive", "--format=tar", f"--output={archive}", commit, "--", *CODE)
    with tarfile.open(archive) as packed:
        packed.extractall(root, filter="data")
    archive.unlink()
    variables = state.environment(profile, None, root)
    # asv drops PYTHONPATH, and the package that is installed is the one of this folder.
    return variables | {"ASV_PYTHONPATH": variables["PYTHONPATH"], "TMPDIR": str(root.parent)}


def open_session(
    folder: Path,
    commit: str,
    plan: dict[str, Any],
    root: Path,
    variables: dict[str, str],
    profile: str,
    rounds: int | None,
) -> Session:
    """The session of `commit` in `folder`; its code lies in `root`, and its corpora are built.

    One of other benchmarks is another session: rounds of the two do not stand beside each other.
    """
    corpora = root / "corpora.json"
    command = [sys.executable, "-P", "-m", "benchmarks.prepare", f"--manifests={corpora}"]
    command += [f"--bench={expression(plan['benchmarks'])}"]
    run_child(command, variables, what="Building the corpora", inherit_output=True)
    tree = git("rev-parse", f"{commit}^{{tree}}")
    return Session.open(
        folder,
        profile=profile,
        rounds=rounds,
        bench=None,
        machine=provenance.machine_name(),
        plan=plan,
        corpora=corpora,
        environment=variables,
        root=root,
        code={"commit": commit, "dirty": False, "hash": seal([tree, sorted(plan["benchmarks"])])},
    )


def measure_in_turn(sessions: Sequence[Session], console: Console) -> None:
    """Run the rounds that are missing; who goes first changes from round to round."""
    with measurements_bar(console) as progress:
        for number in range(1, max(int(one.state["planned"]) for one in sessions) + 1):
            for session in sessions if number % 2 else reversed(sessions):
                if session.state["done"] < number:
                    session.run_round(number, progress)
