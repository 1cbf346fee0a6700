"""Clones of this project as the work tree has it, for commands that ask git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def git(at: Path, *words: str) -> str:
    given = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    return subprocess.run(given, cwd=at, check=True, capture_output=True, text=True).stdout


def cloned(home: Path, *wanted: str) -> Path:
    """The new folder `home`: a repository of one commit with these files and folders."""
    home.mkdir()
    names = git(ROOT, "ls-files", "-co", "--exclude-standard", ".gitignore", *wanted)
    for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, home / name)
    git(home, "init", "--quiet")
    git(home, "add", "--all")
    git(home, "commit", "--quiet", "--message", "one")
    return home
