"""How to cite one claim's verdict: BibTeX and plain text."""

from __future__ import annotations

from scripts.report import wording
from scripts.report.model import ClaimResult, Study
from scripts.report.tables import escape_tex

STUDY_TITLE = "Why is my PyTorch custom dataset slow? A benchmark study"
POST = "the post \u201cWhy is my PyTorch custom dataset slow?\u201d (2025-01-30)"


def _where(study: Study) -> str:
    machines = ", ".join(machine.name for machine in study.machines)
    return (
        f"commit {wording.short_commit(study)}, rules {study.claims_hash[:10]}, "
        f"profile {study.profile}, machine {machines}"
    )


def bibtex(study: Study, claim: ClaimResult) -> str:
    """A @misc entry; the year is the run's, left out when the results carry no date."""
    year = wording.measured_year(study)
    effect = wording.headline(claim)
    note = f"Verdict: {claim.verdict}{f', {effect}' if effect else ''}; {_where(study)}"
    fields = [
        ("title", f"{{{escape_tex(f'{claim.id}: {claim.title}')}}}"),
        ("howpublished", f"{{{escape_tex(STUDY_TITLE)}, index.html\\#{claim.id}}}"),
        ("note", f"{{{escape_tex(note)}}}"),
        *([("year", f"{{{year}}}")] if year else []),
    ]
    body = ",\n".join(f"  {name:<12} = {value}" for name, value in fields)
    return f"@misc{{slow-dataset-{claim.id},\n{body}\n}}"


def text(study: Study, claim: ClaimResult) -> str:
    effect = wording.headline(claim)
    year = wording.measured_year(study)
    about = f"section \u201c{claim.section}\u201d of {POST}" if claim.origin == "post" else (
        f"beyond {POST}")  # fmt: skip
    return (
        f"{STUDY_TITLE}{f' ({year})' if year else ''}, {claim.id}: {claim.title}; {about}. "
        f"Verdict: {claim.verdict}{f', {effect}' if effect else ''}. "
        f"{_where(study).capitalize()}. index.html#{claim.id}"
    )
