"""What a session of measurement has measured, as its folder keeps it.

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Self

from datasets_impl.files.atomic import MARK as ATOMIC
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir
from datasets_impl.files.records import json_of, text_of
from datasets_impl.files.replacing import remove_ours
from scripts.root import ROOT
from scripts.session import asv_files, provenance

PROFILE_VARIABLE = "DATASET_STUDY_PROFILE"
MARK = "SESSION.txt"
HEADER = "A session of measurement of this study."
OWN = {MARK, "session.json", "corpora.json", "asv.conf.json", "asv.log"}
ROUNDS = re.compile("(rounds|attempt)-[0-9]+")
PAGES = "pages"
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
        **provenance.own_environment(),
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
        begun = text_of(folder / MARK).startswith(HEADER)
        return begun and all(_is_own(name) for name in asv_files.inside(folder))
    except (OSError, ValueError):
        return False


def _is_own(name: PurePath) -> bool:
    """Of a file of a session, by where it stands in it."""
    top, *below = name.parts
    if not below:
        return top in OWN or top.endswith(ATOMIC)
    if ROUNDS.fullmatch(top) and below[0] == "results":
        return asv_files.is_result(PurePath(*below[1:]))
    if top == PAGES:
        return asv_files.is_page(PurePath(*below))
    return bool(ROUNDS.fullmatch(top)) and below == ["observations.jsonl"]


@dataclass
class State:
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
    ) -> Self:
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

    def finish(self) -> None:
        """What was measured is published and told; the next study asks anew."""
        self.state["published"] = True
        self.save()

    def _clear(self) -> None:
        """Remove the rounds and attempts that count no more, such as those of a killed study."""
        for folder in (*self.folder.glob("rounds-*"), *self.folder.glob("attempt-*")):
            own = all(_is_own(folder.name / name) for name in asv_files.inside(folder))
            if folder != self.finished and ROUNDS.fullmatch(folder.name) and own:
                shutil.rmtree(folder, ignore_errors=True)


def _state(folder: Path) -> dict[str, Any]:
    """The state of the session in `folder`; empty where there is none that can go on."""
    try:
        state = json_of(folder / "session.json")
        done = state["done"]
        sound = isinstance(state["key"], dict) and len(state["rounds"]) == done
        sound &= isinstance(state["rounds"], list) and isinstance(state["code"]["commit"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return state if sound and (not done or (folder / f"rounds-{done}").is_dir()) else {}


def _dropped(state: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """Why rounds that were measured are measured again; "" where there are none."""
    if not state.get("done"):
        return ""
    other = sorted({word for part, word in ASKED.items() if state["key"].get(part) != key[part]})
    return f"the {state['done']} rounds of the unfinished study are of other {' and '.join(other)}"
