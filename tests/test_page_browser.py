"""The page in a real browser: it asks for nothing, complains of nothing, and fits its window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.render_report import render
from tests.synthetic_study import build

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page")
    return Path(render(build(machines=2), out, "https://example.org/asv/")[0]).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield started
        started.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_page_is_quiet_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    faults: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    # Folded tables are the widest content: open, they must scroll inside their own frame.
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.locator("a.chip[href='#C07']").click()
    page.wait_for_function("location.hash === '#C07'")
    top = page.evaluate("document.getElementById('C07').getBoundingClientRect().top")
    assert 0 <= round(top) < 450
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in colour[4:-1].split(",")[:3]) / 3
    assert (brightness > 200) is (scheme == "light")

    assert faults == []
    assert set(requests) == {address}
    page.close()


def test_first_screen_answers(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    for selector in ("h1", ".answer", ".tally", ".facts", ".strip"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 900, selector
    page.close()


def test_printing_opens_the_evidence(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    page.close()


@pytest.mark.slow
def test_text_contrast(browser: Any, address: str) -> None:
    """WCAG AA for all text in both schemes, on the nearest painted background."""
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        poor = page.evaluate(CONTRAST)
        assert poor == [], scheme
        page.close()


CONTRAST = """() => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
    return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const paper = el => { for (; el; el = el.parentElement) {
    const c = rgb(getComputedStyle(el).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const poor = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const el = walk.currentNode.parentElement, style = getComputedStyle(el);
    if (!walk.currentNode.data.trim() || /script|style|title|desc/i.test(el.tagName)) continue;
    const svg = el.closest('svg');
    const ink = rgb(svg ? style.fill : style.color).slice(0, 3);
    const pair = [light(ink), light(paper(el))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    const onBar = svg && el.textContent.trim().endsWith('%') && style.fill !== style.color
      && ratio < 1.5;
    if (ratio < 4.5 && !onBar) poor.add(el.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return [...poor].slice(0, 20);
}"""
