"""The page: one self-contained index.html from the templates beside this file.

No network, no fonts, no images: figures are inline SVG, styles are inline, and a content security
policy forbids the rest. The one script selects, sorts and compares, and opens folded parts; the
policy names it by its hash. Without it everything is there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datasets_impl.contest.code import of_the_trainer, with_setting
from datasets_impl.files.look import LOOK
from scripts.judging.model import Cell, Effect, Repeat
from scripts.judging.pairing import level
from scripts.judging.prospects import prospects
from scripts.judging.repeat import agreeing_verdicts, counted_once, differing
from scripts.judging.targets import target
from scripts.report import (
    ceilings,
    certainty,
    cite,
    environments,
    facets,
    glossary,
    grid,
    instead,
    remarks,
    repeat,
    wording,
)
from scripts.report.answer import headline_cell
from scripts.report.figures import Figures
from scripts.report.figures.chart import Chart
from scripts.report.figures.front import lead
from scripts.report.figures.style import page_variables
from scripts.report.model import ClaimResult, Machine, Study
from scripts.report.record import cell_record
from scripts.report.waffle import waffle

TEMPLATES = Path(__file__).parent / "templates"
PARTS = (("for", "for"), ("against", "against"), ("unclear", "unclear"), ("skipped", "skipped"))


def slug(verdict: str) -> str:
    """A verdict as a CSS class."""
    return verdict.replace(" ", "-")


def css() -> Markup:
    """The stylesheet: the look that all pages share, and what this one adds."""
    return Markup(LOOK + (TEMPLATES / "style.css").read_text(encoding="utf-8"))


def environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    env.filters.update(whole=whole, slug=slug)
    env.globals.update(
        factors=wording.factors, estimate=wording.estimate, interval=wording.interval,
        number=wording.number, columns=columns, common=common, mini=mini, disagree=wording.disagree,
        listed=listed, decided=decided, by_test=by_test, compared=compared,
        level=level, remark=remarks.remark, in_cells=wording.in_cells,
        with_setting=with_setting, of_what=wording.of_what,
        in_short=wording.in_short, here=here, trainer=trainer, at=at,
        place=grid.in_words, square=grid.square, counted=grid.counted, kinds=grid.KINDS,
        waffle=waffle, together=wording.together, few=wording.FEW,
    )  # fmt: skip
    return env


def whole(text: str) -> Markup:
    """Prose: an interval such as [4.9-5.6] stays on one line, `name` becomes code, *word* em."""
    keep = r'<span class="keep">\1</span>'
    html = re.sub(r"((?:\S+ )?\[[-\d., \u2013]{3,24}\])", keep, str(Markup.escape(text)))
    html = re.sub(r"`([^`<>]+)`", r"<code>\1</code>", html)
    return Markup(re.sub(r"\*(\w+)\*", r"<em>\1</em>", html))


def here(text: str, claim: ClaimResult) -> Markup:
    """`text` with a place for the page's own address, which the script fills in."""
    place = Markup('<span class="here" data-id="{}">{}</span>').format(claim.id, cite.HERE)
    return Markup(str(Markup.escape(text)).replace(cite.HERE, place))


def trainer(code: str) -> Markup:
    """`code` with the arguments marked, and hidden, that are for a trainer that waits: without
    them threads have a process of their own, which suits every trainer."""
    given = of_the_trainer(code)
    before, _, after = code.partition(given) if given else (code, "", "")
    return Markup('{}<span class="trainer" hidden>{}</span>{}').format(before, given, after)


def at(claim: ClaimResult) -> str:
    """Where the headline effect was measured: its setting and machine."""
    cell = headline_cell(claim)
    setting = wording.factors(claim.effect.factors) if claim.effect else ""
    return ", ".join(filter(None, (setting, cell.machine if cell else "")))


def compared(effect: Effect) -> str:
    """What an effect is of, for the script, which compares it with somebody else's."""
    factors = {name: level(value) for name, value in effect.factors.items()}
    return json.dumps({"arms": effect.arms, "factors": factors}, ensure_ascii=False)


def columns(cells: list[Cell]) -> list[str]:
    """Factors that get a column of their own in an evidence table."""
    return wording.varying(cells)


def by_test(cells: list[Cell]) -> list[dict[str, Any]]:
    """Cells grouped by test in the order of the evidence, with what each group shares."""
    groups = []
    for test in dict.fromkeys(cell.test for cell in cells):
        own = [cell for cell in cells if cell.test == test]
        arms = [f"{c.treatment} \u00f7 {c.baseline}" for c in own if c.treatment and c.baseline]
        bars = sorted({wording.bar(c.bar) for c in own if c.bar and c.outcome != "skipped"})
        groups.append(
            {
                "test": test,
                "cells": own,
                "arms": ", ".join(dict.fromkeys(arms)) if len(set(arms)) <= 3 else "",
                "bar": bars[0] if len(bars) == 1 else "",
                "benchmarks": sorted({c.benchmark for c in own}),
            }
        )
    return groups


def common(cells: list[Cell]) -> str:
    """Factors all cells share, said once above the table."""
    if not cells:
        return ""
    names = [n for n in cells[0].factors if n not in wording.varying(cells)]
    return wording.factors(cells[0].factors, names)


def listed(text: str) -> str:
    """`_` and `.` may break a line: benchmark names are long and screens are narrow."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(Markup.escape(text))))


def mini(claim: ClaimResult) -> list[tuple[str, int]]:
    """(outcome, cells) for the small bar of a claim's cells, empty outcomes left out."""
    counts = {"for": claim.cells.for_, "against": claim.cells.against,
              "unclear": claim.cells.unclear, "skipped": claim.cells.skipped}  # fmt: skip
    return [(word, counts[name]) for name, word in PARTS if counts[name]]


def decided(claim: ClaimResult) -> str:
    """The cells in words: "8 for, 2 against (of 10 measured), 2 skipped"."""
    counts = dict(mini(claim))
    skipped = counts.pop("skipped", 0)
    measured = f" (of {sum(counts.values())} measured)" if counts else ""
    words = ", ".join(f"{count} {name}" for name, count in counts.items()) + measured
    return ", ".join([words] * bool(words) + [f"{skipped} skipped"] * (skipped > 0)) or "no cells"


def by_reason(skips: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """(reason, what it leaves out), reasons in the order in which they first occur."""
    groups: dict[str, list[str]] = {}
    for what, why in skips:
        groups.setdefault(why, []).append(what)
    return list(groups.items())


def differing_details(machines: list[Machine]) -> list[tuple[str, list[str]]]:
    """What is known of the machines and not the same on all: its name, and a value for each."""
    names = dict.fromkeys(name for machine in machines for name in machine.details)
    told = [
        (name, [machine.details.get(name, wording.DASH) for machine in machines]) for name in names
    ]
    return [(name, values) for name, values in told if len(set(values)) > 1]


def repeat_context(
    compared: Repeat | None,
    chart: Chart | None,
    title: str = "Does it repeat?",
    links: bool = True,
    data: str = "figures/repeat.csv",
) -> dict[str, Any]:
    """What repeat.html.j2 shows beside the numbers of `compared`; `links`: claims have anchors."""
    if compared is None:
        return {}
    return {
        "title": title,
        "sentence": repeat.sentence(compared),
        "runs": repeat.both(compared),
        "alike": agreeing_verdicts(compared),
        "once": counted_once(compared),
        "verdicts": differing(compared),
        "cells": repeat.differing_cells(compared),
        "chart": chart,
        "links": links,
        "data": data,
    }


def context(study: Study, figures: Figures, asv_pages: str) -> dict[str, Any]:
    script = _without_blank_lines((TEMPLATES / "page.js").read_text(encoding="utf-8")).strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    light, dark = page_variables()
    starting = [claim for claim in study.claims if claim.id == "X01"]
    where = {each.name: each.environment for each in study.machines}
    tested = {claim.id for claim in study.claims if claim.verdict != "not tested"}
    return {
        "study": study,
        "figures": figures,
        "svg": {chart.name: Markup(chart.svg + chart.narrow) for chart in figures.all()},
        "repeat": repeat_context(study.repeat, figures.repeat),
        "decisions": instead.decisions(
            instead.first_machine(study.loaders), instead.first_machine(study.remote)
        ),
        "line": instead.LINE,
        "slow_storage": instead.slow_storage(study.claims),
        "pixels": next((c.effect for c in study.claims if c.id == "C18" and c.effect), None),
        "boundaries": {claim.id: claim.boundary for claim in study.claims if claim.boundary},
        "how_sure": lambda claim: certainty.how_sure(claim, study),
        "furthest_apart": certainty.furthest_apart(study),
        "tested_twice": certainty.tested_twice(study.claims),
        "differing_verdicts": certainty.differing_verdicts(study.claims),
        "further": instead.further(starting[0].starts if starting else {}),
        "updating": environments.updating(
            (cell_record(cell) for claim in starting for cell in claim.evidence), where
        ),
        "verdicts": {claim.id: claim.verdict for claim in study.claims},
        "words": glossary.WORDS,
        "word_id": glossary.anchor,
        "first_use": glossary.FirstUses(),
        "untested": lambda one: not tested.intersection(one.claims),
        "asked": facets.ASKED,
        "facets": facets.facets(study),
        "presets": facets.presets(study),
        "elsewhere": sorted(
            {name for claim in study.claims for _, name, _ in environments.beside(claim, study)}
        ),
        "beside": lambda claim: environments.beside(claim, study),
        "across": [
            (environments.heading(each), environments.sentences(each)) for each in study.across
        ],
        "care": environments.CARE,
        "why_differs": lambda claim: environments.why_differs(claim, study),
        "under": lambda claim: facets.beside(claim, study),
        "tokens": lambda cell: facets.tokens(cell, where),
        "front_lead": lead(study.machines[0], figures.front.data["impl"]) if figures.front else "",
        "steps": instead.STEPS,
        "stored": instead.STORED,
        "passing": ceilings.passing,
        "called": ceilings.called,
        "ceiling_words": ceilings.WORDS,
        "sweeps": instead.sweeps(study.scale),
        "prospects": prospects(instead.first_machine(study.loaders)),
        "asv_pages": asv_pages,
        "tally": wording.tally(study),
        "noise": wording.noise_sentence(study),
        "skipped": by_reason(study.skips),
        "differing": differing_details(study.machines),
        "noisy": study.noise.rate is not None and study.noise.rate > 0.05,
        "commit": wording.short_commit(study),
        "target": target(study.profile),
        "groups": [
            ("claims", "The post\u2019s claims", [c for c in study.claims if c.origin == "post"]),
            ("beyond", "Beyond the post", [c for c in study.claims if c.origin == "beyond"]),
        ],
        "bibtex": {c.id: cite.bibtex(study, c) for c in study.claims},
        "citation": {c.id: cite.text(study, c) for c in study.claims},
        "source": cite.works()[0],
        "post": cite.works()[1],
        "css": css(),
        "ink_light": Markup(light),
        "ink_dark": Markup(dark),
        "script": Markup(script),
        "script_hash": f"sha256-{digest}",
    }


def page(study: Study, figures: Figures, asv_pages: str) -> str:
    """The whole of index.html."""
    template = environment().get_template("index.html.j2")
    html = template.render(context(study, figures, asv_pages))
    return _without_blank_lines(html)


def _without_blank_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"
