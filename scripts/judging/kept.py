"""Where asv's results lie, among which nothing else is written."""

from __future__ import annotations

from pathlib import Path

from datasets_impl.errors import StudyError


def check_apart(folder: Path, *, results: bool = False, report: bool = False) -> None:
    """Whether something may be written into `folder`.

    Args:
        results: it is results, for which a folder of results is the place.
        report: it is a report, which may stand in a folder beside the machines'.

    Raises:
        StudyError: `folder` is a machine's or one of results, or stands in one.
    """
    for home in (folder, *folder.resolve().parents):
        machine = (home / "machine.json").exists()
        of_all = (home / "benchmarks.json").exists() and (
            not results if home is folder else not report and any(home.glob("*/machine.json"))
        )
        if machine or of_all:
            raise StudyError(
                f"{home} holds asv's results, which are only read; choose another folder."
            )
