"""How to cite one claim's verdict: BibTeX and plain text. Who, what and where: `CITATION.cff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from scripts.judging.targets import apart
from scripts.report import wording
from scripts.report.model import ClaimResult, Machine, Study
from scripts.report.tables import escape_tex
from scripts.root import ROOT

HERE = "the address of this page"  # where none is recorded; the script of the page knows it
PAGE = "results/report/index.html"


@dataclass(frozen=True)
class Work:
    """A work as it is cited; `address` is "" where none is recorded."""

    title: str
    authors: list[str]
    date: str
    address: str


def work(record: Mapping[str, Any]) -> Work:
    """A work in the Citation File Format."""
    return Work(
        str(record["title"]),
        [_name(author) for author in record["authors"]],
        str(record.get("date-published") or record.get("date-released", "")),
        str(record.get("url") or record.get("repository-code", "")),
    )


def _name(author: Mapping[str, str]) -> str:
    """A person's or an entity's."""
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"


@cache
def works() -> tuple[Work, Work]:
    """This study, and the post that it is about."""
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    post = next(each for each in record["references"] if each["type"] == "blog")
    return work(record), work(post)


def address(claim: ClaimResult) -> str:
    """Of the claim's card; `HERE` where no address is recorded."""
    return f"{known}, {PAGE}#{claim.id}" if (known := works()[0].address) else HERE


def runs(study: Study, claim: ClaimResult) -> list[tuple[str, list[str]]]:
    """(machine, commits) with data for the claim; short commits, those of runs apart too."""
    found = []
    for machine in study.machines:
        measured = {
            commit_of(machine, cell.benchmark)
            for cell in claim.evidence
            if cell.machine == machine.name and cell.estimate is not None
        }
        if measured:
            found.append((machine.name, sorted(commit[:10] for commit in measured if commit)))
    return found


def commit_of(machine: Machine, benchmark: str) -> str:
    """Of the run that measured a benchmark there."""
    return machine.apart.get(apart(benchmark) or "", machine.commit)


def _measured(study: Study, claim: ClaimResult) -> str:
    """On which machines, from which commits, under which rules."""
    told = [
        f"{name} (commit{'s'[: len(commits) > 1]} {' and '.join(commits)})" if commits else name
        for name, commits in runs(study, claim)
    ]
    many = len(told) > wording.FEW
    names = f"{len(told)} machines" if many else " and ".join(told)
    where = f"measured on {names}, profile {study.profile}, " if told else ""
    return f"{where}rules {study.claims_hash[:10]}"


def _verdict(claim: ClaimResult) -> str:
    effect = wording.headline(claim)
    of = f" ({wording.of_what(claim.effect)})" if claim.effect else ""
    return f"Verdict: {claim.verdict}{f', {effect}{of}' if effect else ''}"


def bibtex(study: Study, claim: ClaimResult) -> str:
    """A @misc entry; the year is the run's, left out when the results carry no date."""
    year, source = wording.measured_year(study), works()[0]
    authors = " and ".join(
        name if ", " in name else f"{{{name}}}" for name in map(escape_tex, source.authors)
    )
    fields = [
        ("author", f"{{{authors}}}"),
        ("title", f"{{{escape_tex(f'{source.title}. {claim.id}: {claim.title}')}}}"),
        ("url", f"{{{address(claim)}}}"),
        ("note", f"{{{escape_tex(f'{_verdict(claim)}; {_measured(study, claim)}')}}}"),
        *([("year", f"{{{year}}}")] if year else []),
    ]
    body = ",\n".join(f"  {name:<6} = {value}" for name, value in fields)
    return f"@misc{{slow-dataset-{claim.id},\n{body}\n}}"


def text(study: Study, claim: ClaimResult) -> str:
    """Author, title, address, verdict and what it rests on; not the post, which is a link."""
    year, source = wording.measured_year(study), works()[0]
    told = _measured(study, claim)
    return (
        f"{'; '.join(source.authors)}{f' ({year})' if year else ''}: {source.title}. "
        f"{claim.id}: {claim.title}{'' if claim.title.endswith('?') else '.'} {address(claim)}. "
        f"{_verdict(claim)}. {told[0].upper()}{told[1:]}."
    )
