"""Thirty machines: the page counts where it would name them all, and draws no more than four."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import VERDICTS
from scripts.render_report import render
from scripts.report import cite, figures, page, terminal, wording
from scripts.report.figures.claims import claim_chart
from scripts.report.figures.environments import environments_chart
from scripts.report.figures.overview import throughput_by_workers
from scripts.report.grid import KINDS
from scripts.report.model import Study
from scripts.report.wording import FEW
from tests import synthetic_study
from tests.browsing import needs_browser, paged
from tests.synthetic_environments import with_environments
from tests.synthetic_study import drawing_less

MACHINES = tuple(f"bench-{number:02}" for number in range(30))
pytestmark = pytest.mark.slow


def study_of(count: int) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_study, "MACHINES", MACHINES)
        return with_environments(synthetic_study.build(machines=count), count)


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(len(MACHINES))


@pytest.fixture(scope="module")
def rendered(study: Study, shared: Callable[..., Path]) -> Path:
    """Its page, which takes long, so one worker of the tests makes it for all."""

    def fill(folder: Path) -> None:
        with drawing_less():
            render(study, folder)

    return shared("thirty", fill) / "index.html"


@pytest.fixture(scope="module")
def html(rendered: Path) -> str:
    return rendered.read_text(encoding="utf-8")


class Tables(HTMLParser):
    """The number of columns of each grid, and of list items of each list of machines."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.columns: list[int] = []
        self.items: list[int] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (dict(attrs).get("class") or "").split()
        if tag in ("table", "ul"):
            found = "grid" if "grid" in names else "machines" if "machines" in names else ""
            self.inside = found
            {"grid": self.columns, "machines": self.items}.get(found, []).append(0)
        elif tag == "th" and self.inside == "grid" and "columnheader" in dict(attrs).values():
            self.columns[-1] += 1
        elif tag == "li" and self.inside == "machines":
            self.items[-1] += 1


def test_a_grid_counts_machines_and_a_card_groups_them(study: Study, html: str) -> None:
    found = Tables(html)
    assert found.columns and set(found.columns) == {len(KINDS)}
    assert found.items and max(found.items) <= len(VERDICTS)
    row = next(claim.grid[0] for claim in study.claims if claim.grid)
    kinds = [len(own) for _, own in page.grid.counted(row, MACHINES)]
    assert sum(kinds) == len(MACHINES)
    together = wording.together(study.claims[0], [])
    assert sum(len(names) for *_, names in together) == len(MACHINES)


def test_every_machine_can_be_selected_and_its_facts_are_folded(html: str) -> None:
    (select,) = re.findall(r'<select name="machine">.*?</select>', html)
    assert re.findall(r'<option value="([^"]*)"', select) == ["", *MACHINES]
    (section,) = re.findall(r'<section id="environment".*?</section>', html, re.DOTALL)
    before, _, inside = section.partition("<summary>30 machines</summary>")
    assert "bench-00" not in before and f"<h3>{MACHINES[-1]}</h3>" in inside
    hero = html[html.index('<div class="status">') : html.index("</header>")]
    assert "30 machines" in hero and "bench-" not in hero


def test_a_card_is_as_high_as_with_few(html: str) -> None:
    heights = [int(one) for one in re.findall(r'<svg class="waffle"[^>]* height="(\d+)"', html)]
    assert heights and max(heights) <= 24


def test_what_is_named_one_by_one_is_counted(study: Study, tmp_path: Path) -> None:
    (claim,) = (claim for claim in study.claims if claim.id == "C01")
    assert "measured on 30 machines" in cite.bibtex(study, claim)
    with (tmp_path / "log").open("w") as log:
        console = terminal.Console(width=100, file=log)
        terminal.print_study(study, Path("index.html"), console)
    said = (tmp_path / "log").read_text()
    assert max(map(len, said.splitlines())) <= 100
    assert re.search(r"\bfor +against +both +unclear\b", said)


def test_thirty_are_drawn_as_four(study: Study) -> None:
    """However many there are, a figure takes as long and is as high; the data has them all."""
    few = study_of(FEW)
    for draw in (
        throughput_by_workers,
        environments_chart,
        lambda one: claim_chart(one, one.claims[6]),
        lambda one: claim_chart(one, one.claims[0]),
    ):
        many, four = draw(study), draw(few)
        assert isinstance(many, figures.Chart) and isinstance(four, figures.Chart)
        assert (many.svg, many.narrow) == (four.svg, four.narrow)
        assert len(many.data) * FEW == len(four.data) * len(MACHINES)
        assert "more machines are in the data" in many.caption or "more cells" in many.caption


def test_the_page_grows_by_the_cells_of_a_machine_alone(html: str) -> None:
    with drawing_less():
        two, four = (page.page(one, figures.build(one), "") for one in (study_of(3), study_of(4)))
    each = len(four) - len(two)
    assert len(html) < len(four) + 1.1 * each * (len(MACHINES) - FEW)


@needs_browser
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_of_thirty_fits_and_shows_one_machine(
    browser: Any, rendered: Path, width: int
) -> None:
    opened = paged(browser, viewport={"width": width, "height": 900})
    opened.goto(rendered.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1440:
        assert opened.evaluate("document.documentElement.scrollHeight") <= 12_000
    opened.locator("#select select[name=machine]").select_option(MACHINES[-1])
    shown = opened.evaluate(
        "[...document.querySelectorAll('tr[data-f]')].filter(r => !r.hidden).map(r => r.dataset.f)"
    )
    assert shown and all(f"machine:{MACHINES[-1]}" in one.split("|") for one in shown)
    opened.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()
