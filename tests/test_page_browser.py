"""The page in a real browser: it fits its window, selects, sorts, compares and asks for nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pytest

from scripts.judging.model import LoaderRow, Loaders
from scripts.render_report import render
from scripts.report.facets import IN_MEMORY
from scripts.report.instead import QUESTIONS
from scripts.report.model import Study
from scripts.root import RESULTS
from tests.browsing import NO_PLAYWRIGHT, PATIENCE, needs_browser, paged
from tests.shown import as_shown
from tests.synthetic_study import (
    ENVIRONMENTS,
    IDS,
    MACHINES,
    build,
    drawing_each_shape,
    drawing_less,
    selectable,
)

pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = needs_browser


def with_loaders() -> Study:
    """The synthetic study with a decision table."""
    rows = [
        LoaderRow(
            arm=question.arm, origin="variant", about="a way", exact=True, order="shuffled",
            code='from x import Y\n\nbatches = Y(1, where="trainer")',
            uses=f"{question.arm}-Loader",
            images_per_second=200.0, low=190.0, high=210.0, blocks=5, share_of_ceiling=None,
            rival="", times_rival=None, rival_later="", times_rival_later=None, memory_mb=None,
            conversion_seconds=None, bytes_on_disk=None, mean_difference=None, psnr=None,
            setting={}, tried={}, first_batch_ms=None, us_after_first=None, cpu_us=None,
        )
        for question in QUESTIONS
    ]  # fmt: skip
    usual = {question.task: question.usual for question in QUESTIONS}
    found = [
        Loaders(MACHINES[0], task, 2048, 256, 2, {"decode": 400.0, "gather": 400.0},
                [row for row, one in zip(rows, QUESTIONS, strict=True) if one.task == task]
                + [replace(rows[0], arm=name, images_per_second=100.0)])
        for task, name in usual.items()
    ]  # fmt: skip
    return replace(build(machines=2), loaders=found)


@pytest.fixture(scope="module")
def address(shared: Callable[..., Path]) -> str:
    def rendered(folder: Path) -> None:
        with drawing_each_shape():
            render(with_loaders(), folder / "page", "https://example.org/asv/")

    return (shared("page", rendered) / "page" / "index.html").as_uri()


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    made = browser.new_context(viewport={"width": 1440, "height": 900})
    yield made
    made.close()


@pytest.fixture
def page(context: Any, address: str) -> Iterator[Any]:
    """The page at 1440 px; a fault of its script or a request of its own fails the test."""
    opened = paged(context)
    faults: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(address)
    yield opened
    opened.close()
    assert faults == []
    assert {url.partition("#")[0] for url in requests} <= {address}


def until(page: Any, condition: str, given: Any = None) -> None:
    """Wait for it. The browser's own waiting evaluates text, which the page's policy forbids."""
    late = time.monotonic() + PATIENCE
    while not page.evaluate(condition, given):
        assert time.monotonic() < late, condition
        page.wait_for_timeout(20)


def go(page: Any, address: str, selection: str) -> None:
    page.evaluate("hash => { location.hash = hash; }", selection)
    until(page, "hash => location.hash === '#' + hash", selection)
    page.evaluate("new Promise(done => setTimeout(done))")  # after hashchange


def claims(page: Any) -> list[str]:
    """Ids of the claims that are shown at a glance; the cards are the same."""
    shown = page.evaluate(
        "['tr', 'details'].map(name => [...document.querySelectorAll(name + '[data-claim]')]"
        ".filter(one => !one.hidden).map(one => one.dataset.claim))"
    )
    assert sorted(shown[0]) == sorted(shown[1])
    found: list[str] = shown[0]
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_page_fits_and_has_no_violation(
    browser: Any, address: str, width: int, scheme: str
) -> None:
    page = paged(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in colour[4:-1].split(",")[:3]) / 3
    assert (brightness > 200) is (scheme == "light")
    if width == 1440:
        assert page.evaluate("document.documentElement.scrollHeight") <= 12_000
        ends = page.evaluate(
            "['.answer', '.front', '.decisions'].map(q => "
            "document.querySelector(q).getBoundingClientRect().bottom)"
        )
        assert max(ends[:2]) <= 900 and ends[2] <= 1800
    else:
        page.evaluate("scrollTo(0, 3000)")
        nav = page.locator("nav.contents").bounding_box()
        assert nav["y"] == 0 and nav["height"] <= 48, "one line, which stays"
        list_ = "document.querySelector('nav.contents ul')"
        assert page.evaluate(f"{list_}.scrollWidth > {list_}.clientWidth"), "and scrolls in itself"
        page.locator("nav.contents a").last.focus()
        last = page.locator("nav.contents a").last.bounding_box()
        assert last["x"] >= 0 and last["x"] + last["width"] <= width
    # Folded tables are the widest content: open, they must scroll inside their own frame.
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if (width, scheme) in ((1440, "light"), (390, "dark")):
        assert violations(page) == []
    page.close()


def violations(page: Any, paper: bool = False) -> list[tuple[str, list[Any]]]:
    """What axe finds: (rule, the first elements). On paper nothing is clicked."""
    rules = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice", *([] if paper else ["wcag22aa"])]
    found = axe.Axe().run(page, options={"resultTypes": ["violations"], "runOnly": rules})
    return [
        (one["id"], [node["target"] for node in one["nodes"]][:5])
        for one in found.response["violations"]
    ]


COLOURS = """[...document.querySelectorAll('body, body *')].map(e => {
  const s = getComputedStyle(e);
  return [s.color, s.backgroundColor, s.borderTopColor, s.fill].join();
})"""


def test_on_paper_nothing_is_cut_and_nothing_is_pale(browser: Any, address: str) -> None:
    """What is wider than the paper makes a browser shrink every page of it."""
    page = paged(browser, viewport={"width": 703, "height": 1000})
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    dark = page.evaluate(COLOURS)
    page.emulate_media(media="print", color_scheme="light")
    assert page.evaluate(COLOURS) == dark
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    assert violations(page, paper=True) == []
    page.close()


def test_the_navigation_stays_and_lists_every_section(page: Any) -> None:
    sections = page.evaluate(
        "[...document.querySelectorAll('header[id], main > section')].map(e => e.id)"
    )
    links = page.evaluate(
        "[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href').slice(1))"
    )
    assert links == sections
    page.evaluate("scrollTo(0, 3000)")
    assert page.evaluate("document.querySelector('nav').getBoundingClientRect().top") == 0


def test_each_filter_shows_what_has_evidence_there_and_stands_in_the_address(page: Any) -> None:
    everything = claims(page)
    for name in ("machine", "px", "workers", "medium", "verdict"):
        select = page.locator(f"#select select[name={name}]")
        level = select.evaluate("s => s.options[1].value")
        select.select_option(level)
        assert page.evaluate("location.hash") == f"#{name}={level}"
        shown = claims(page)
        assert 0 < len(shown) <= len(everything)
        if name not in ("machine", "verdict"):
            visible = page.evaluate(
                "[...document.querySelectorAll('tr[data-f]')].filter(r => !r.hidden)"
                ".map(r => r.dataset.f)"
            )
            assert visible and all(f"{name}:{level}" in one.split("|") for one in visible)
            assert len(shown) < len(everything)
        page.get_by_role("button", name="Show all").click()
        assert page.evaluate("location.hash") == "" and claims(page) == everything
    select = page.locator("#select select[name=env]")
    assert select.count() == 1, "one environment is named all the same"


def test_a_selection_survives_being_sent_and_counts_its_cells(
    page: Any, context: Any, address: str
) -> None:
    page.locator("#select select[name=machine]").select_option(MACHINES[1])
    page.locator("#select select[name=workers]").select_option("4")
    sent = page.evaluate("location.href")
    assert sent == f"{address}#machine={MACHINES[1]}&workers=4"
    there = paged(context)
    there.goto(sent)
    assert claims(there) == claims(page) == ["C07", "X04"]
    told = there.locator("details[data-claim=C07] .chosen").inner_text()
    assert told.startswith("In this selection: ") and "verdict there: " in told
    assert there.locator("#shown").inner_text().startswith("2 of 32 claims")
    there.close()


def test_a_level_that_nobody_knows_hides_nothing(page: Any, address: str) -> None:
    everything = claims(page)
    rows = page.locator(".decisions tr[data-fits]:visible").count()
    go(page, address, "machine=nobody&nonsense&%E0%A4%A=1&claim=Z9&trainer=absent&fits=perhaps")
    assert claims(page) == everything
    assert page.locator(".decisions tr[data-fits]:visible").count() == rows
    go(page, address, "workers=4,99&claim=C07,Z9")
    assert claims(page) == ["C07"]


def test_presets_select_claims_and_advice(page: Any) -> None:
    links = page.locator(".presets a")
    assert links.all_inner_texts() == ["pixels fit in memory", "several workers"]
    links.nth(0).click()
    until(page, "document.querySelector('#ask select[name=fits]').value === 'yes'")
    assert claims(page) == IN_MEMORY.split(",")
    rows = page.locator(".decisions tr[data-fits]:visible")
    assert rows.evaluate_all("all => all.every(r => ['yes', ''].includes(r.dataset.fits))")
    links.nth(1).click()
    until(page, "location.hash === '#workers=2,4,8'")
    assert page.locator("#select select[name=workers]").input_value() == "2,4,8"


def test_each_preset_and_each_environment_selects(context: Any, tmp_path: Path) -> None:
    other, base = "Python 3.13, torch 2.14", selectable()
    beside: Any = {other: {MACHINES[0]: "challenged"}}
    last = replace(base.claims[-1], by_environment=beside)
    with drawing_less():
        render(replace(base, claims=[*base.claims[:-1], last]), tmp_path, "")
    page = paged(context)
    page.goto((tmp_path / "index.html").as_uri())
    everything, links = claims(page), page.locator(".presets a")
    assert links.count() == 4
    for link in links.all():
        wanted = link.get_attribute("href")
        go(page, "", wanted[1:])
        chosen = dict(part.split("=") for part in unquote(wanted[1:]).split("&"))
        for name, value in chosen.items():
            select = page.locator(f"#select select[name={name}]")
            assert not select.count() or select.input_value() == value
        assert 0 < len(claims(page)) < len(everything)
    for name, machine in zip(ENVIRONMENTS, MACHINES, strict=True):
        page.locator("#select select[name=env]").select_option(label=name)
        rows = page.locator("details[data-claim=C01] tr[data-f]")
        seen = rows.evaluate_all("all => all.filter(r => !r.hidden).map(r => r.dataset.f)")
        assert seen and all(f"machine:{machine}|env:" in one for one in seen)
        page.get_by_role("button", name="Show all").click()
    page.locator("#select select[name=env]").select_option(label=other)
    assert claims(page) == [last.id], "its verdict stands on the card, its cells do not"
    chosen_there = page.locator(f"details[data-claim={last.id}] .chosen").inner_text()
    assert chosen_there.endswith("verdict there: challenged.")
    page.locator("#select select[name=verdict]").select_option("challenged")
    assert claims(page) == [last.id]
    page.get_by_role("button", name="Show all").click()
    env = other.replace(",", "")
    go(page, "", f"machine={MACHINES[0]}&env={env.replace(' ', '%20')}")
    assert claims(page) == [last.id], "it was measured on that machine"
    go(page, "", f"machine={MACHINES[1]}&env={env.replace(' ', '%20')}")
    assert claims(page) == [], "and not on this one"
    page.get_by_role("button", name="Show all").click()
    page.locator("#select select[name=start]").select_option("forkserver")
    rows = page.locator("details[data-claim=C01] tr[data-f]")
    seen = rows.evaluate_all("all => all.filter(r => !r.hidden).map(r => r.dataset.f)")
    assert seen and all("start:forkserver" in one.split("|") for one in seen)
    page.close()


def test_an_object_store_is_asked_for_apart(page: Any) -> None:
    shown = page.locator(".decisions tr[data-storage=object]:visible")
    for level, some in (("object", True), ("network", False), ("local", False)):
        page.locator("#ask select[name=storage]").select_option(level)
        assert bool(shown.count()) is some
    page.locator("#ask select[name=storage]").select_option("object")
    rows = page.locator(".decisions tr[data-storage]:visible")
    assert rows.count() == shown.count(), "a folder is no object store"


def test_the_questions_lead_to_a_class_and_its_code(page: Any) -> None:
    for name, level in (("fits", "no"), ("storage", "network"), ("crops", "yes")):
        page.locator(f"#ask select[name={name}]").select_option(level)
    rows = page.locator(".decisions tr[data-fits]:visible")
    assert rows.count() == 1
    rows.locator("summary").click()
    assert "batches = Y(1)" in rows.locator("pre").inner_text(), "what suits every trainer"
    assert "not measured on a network" in rows.inner_text() and "2.0" not in rows.inner_text()
    page.locator("#ask select[name=trainer]").select_option("gil")
    told = page.locator(".further tr[data-trainer]:visible").inner_text()
    assert '"process" is the default' in told
    shown = rows.locator("pre").inner_text()
    assert "batches = Y(1)" in shown, "the code does what the row says"
    assert shown == as_shown(rows.locator("pre").inner_html(), gil=True), "as it is run"
    page.locator("#ask select[name=trainer]").select_option("waits")
    shown = rows.locator("pre").inner_text()
    assert 'batches = Y(1, where="trainer")' in shown
    assert shown == as_shown(rows.locator("pre").inner_html(), gil=False), "as it is run"
    page.locator("#ask select[name=python]").select_option("new")
    told = page.locator(".further tr[data-python]:visible").inner_text()
    assert "Yes, in one tensor" in told and "Not measured" in told
    page.locator("#ask select[name=labels]").select_option("yes")
    labels = page.locator(".further tr[data-labels]:visible")
    assert rows.count() == 0, "a row without labels is none with them"
    for crops, fits, words in (
        ("yes", "no", "RandomCrops"), ("no", "no", "DecodedImages"), ("no", "yes", "StoredPixels"),
    ):  # fmt: skip
        page.locator("#ask select[name=crops]").select_option(crops)
        page.locator("#ask select[name=fits]").select_option(fits)
        assert labels.count() == 1 and f"{words}(" in labels.locator("pre").text_content()
    assert "X11" not in labels.inner_text(), "it says nothing of labels"


def test_tables_sort_by_a_column_and_back(page: Any) -> None:
    head = page.get_by_role("columnheader", name="Verdict")
    head.get_by_role("button").click()
    verdicts = page.locator("tr[data-claim]").evaluate_all(
        "rows => rows.map(r => r.dataset.v.split('|')[0])"
    )
    assert verdicts == sorted(verdicts) and head.get_attribute("aria-sort") == "ascending"
    assert page.evaluate("location.hash") == "#sort=3"
    head.get_by_role("button").click()
    assert claims(page)[0] and head.get_attribute("aria-sort") == "descending"
    page.get_by_role("columnheader", name="Effect", exact=True).get_by_role("button").click()
    effects = page.locator("tr[data-claim] .effect[data-e]").evaluate_all(
        "cells => cells.map(c => Number(c.dataset.e))"
    )
    assert effects == sorted(effects)
    for number, head in enumerate(page.locator("table.glance th button").all(), start=1):
        head.click()
        assert page.evaluate("location.hash") == f"#sort={number}"
        assert page.locator("table.glance [aria-sort=ascending]").count() == 1
        assert sorted(claims(page)) == IDS, "no row is lost"
    # Without a sort in the address the table is as it was: by "Show all", a preset, or going back.
    page.get_by_role("columnheader", name="Effect", exact=True).get_by_role("button").click()
    by_id = page.locator("tr[data-claim]").evaluate_all("rows => rows.map(r => r.dataset.claim)")
    assert by_id != IDS
    page.get_by_role("button", name="Show all").click()
    assert claims(page) == IDS and page.locator("table.glance [aria-sort]").count() == 0
    go(page, "", "sort=3")
    assert claims(page) != IDS
    page.go_back()
    until(page, "location.hash === ''")
    page.evaluate("new Promise(done => setTimeout(done))")
    assert claims(page) == IDS and page.locator("table.glance [aria-sort]").count() == 0


def test_an_anchor_opens_its_card_and_what_it_lies_in(page: Any, address: str) -> None:
    opened = "id => document.querySelector(`details[data-claim=${id}]`).open"
    assert not page.evaluate(opened, "C07")
    page.locator("table.glance .title a[href='#C07']").click()
    until(page, opened, "C07")
    assert 0 < page.evaluate("document.getElementById('C07').getBoundingClientRect().top") < 450
    page.locator("details[data-claim=C07] > summary").click()
    page.locator("table.glance .title a[href='#C07']").click()
    until(page, opened, "C07")
    go(page, address, "C03-grid&verdict=conditional")
    assert page.evaluate(opened, "C03")


def test_a_word_leads_to_what_it_means(page: Any, address: str) -> None:
    words = page.locator("#words dt").all_inner_texts()
    assert len(words) >= 10 and not page.evaluate("document.getElementById('words').open")
    go(page, address, page.locator("a.word").first.get_attribute("href").removeprefix("#"))
    assert page.evaluate("document.getElementById('words').open")
    linked = page.locator("a.word").evaluate_all("all => all.map(a => a.hash)")
    assert len(linked) == len(set(linked)), "a word is linked once"


def test_a_citation_has_the_address_that_others_reach_the_page_by(
    context: Any, page: Any, address: str
) -> None:
    elsewhere, text = "https://example.org/study/", Path(url2pathname(urlsplit(address).path))
    published = paged(context)
    published.route(elsewhere, lambda asked: asked.fulfill(path=text, content_type="text/html"))
    published.goto(elsewhere)
    for opened, expected in ((published, f"{elsewhere}#C04"), (page, "{the address of this page}")):
        opened.locator("details[data-claim=C04] > summary").click()
        opened.locator("#C04 .cite summary").click()
        entry = opened.locator("#C04 .cite pre").inner_text()
        assert expected in entry and "author" in entry and "file:" not in entry
    published.close()


def test_keyboard_alone_reaches_and_opens(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    until(page, "location.hash === '#glance'")
    card = "document.activeElement.matches('details[data-claim=C01] > summary')"
    page.locator("table.glance .title a").last.focus()
    for _ in range(3):  # the badge of a verdict may be a link too
        page.keyboard.press("Tab")
        if page.evaluate(card):
            break
    assert page.evaluate(card), "Tab goes from the table to the first card"
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details[data-claim=C01]').open")
    page.locator("table.glance th button").first.focus()
    page.keyboard.press("Space")
    assert page.evaluate("location.hash").endswith("sort=1")


def drop(page: Any, path: Path) -> None:
    """Let go of a file or a folder over the page, as a user's mouse does."""
    session = page.context.new_cdp_session(page)
    held = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": held})


@pytest.mark.parametrize("way", ["chosen", "dropped", "claims.json", "report/claims.json"])
def test_yours_stand_beside_ours_what_differs_first(
    page: Any, address: str, way: str, tmp_path: Path
) -> None:
    path = Path(address.removeprefix("file://")).with_name("claims.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    record["machines"] = [{"name": "<b>mine</b>"}]
    record["claims"][5]["verdict"] = "challenged"
    record["claims"][1]["effect"]["estimate"] *= 9
    elsewhere, others = record["claims"][3]["effect"], record["claims"][6]["effect"]
    elsewhere["factors"]["px"] = 32
    others["arms"] = ["naive", "another"]
    del record["claims"][2]
    text = json.dumps(record)
    if way == "chosen":
        file = {"name": "claims.json", "mimeType": "application/json", "buffer": text.encode()}
        page.locator("#drop input").set_input_files(file)
    else:
        file = tmp_path / "mine" / way.replace("dropped", "c.json")
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        drop(page, file if way == "dropped" else tmp_path / "mine")
    page.wait_for_selector("#beside:not([hidden])")
    first = page.locator("#beside tbody th").all_inner_texts()
    assert first[:3] in (["C03", "C06", "C02"], ["C06", "C03", "C02"])
    assert page.locator("#told").inner_text() == "2 of 32 verdicts differ; yours: <b>mine</b>."
    third = page.locator("#beside tbody tr").nth(2).inner_text()
    assert third.endswith("9.00\u00d7")
    for name in ("C04", "C07"):  # of another setting, of another arm
        line = page.locator("#beside tbody tr", has=page.get_by_role("link", name=name))
        assert line.inner_text().endswith("\u2013")


def test_a_folder_of_something_else_is_one_sentence(page: Any, tmp_path: Path) -> None:
    drop(page, tmp_path)
    until(page, "document.getElementById('told').textContent")
    assert page.locator("#told").inner_text() == f"{tmp_path.name} holds no claims.json."


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"claims": 3}', '{"claims": [null]}'])
def test_a_file_of_something_else_is_one_sentence(page: Any, text: str) -> None:
    file = {"name": "other.json", "mimeType": "application/json", "buffer": text.encode()}
    page.locator("#drop input").set_input_files(file)
    until(page, "document.getElementById('told').textContent")
    assert page.locator("#told").inner_text().startswith("other.json is no claims.json")
    assert page.locator("#beside").is_hidden()


@pytest.mark.parametrize("machines", ["3", "[null]", "{}"])
def test_machines_of_a_damaged_file_are_left_out(page: Any, machines: str) -> None:
    text = f'{{"claims": [], "machines": {machines}}}'
    file = {"name": "other.json", "mimeType": "application/json", "buffer": text.encode()}
    page.locator("#drop input").set_input_files(file)
    until(page, "document.getElementById('told').textContent")
    assert page.locator("#told").inner_text().endswith("verdicts differ.")


def test_printing_opens_every_card_and_closes_it_again(page: Any) -> None:
    opened = "[...document.querySelectorAll('details')].filter(d => d.open).length"
    every = page.locator("details").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(opened) == every
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(opened) == 0


def test_without_a_script_everything_is_there(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = paged(context)
    page.goto(f"{address}#C07")
    assert page.locator("#select").is_hidden() and page.locator("#ask").is_hidden()
    assert page.locator("#C07").is_visible(), "its anchor opens a card"
    page.locator("details[data-claim=C01] > summary").click()
    assert page.locator("#C01").is_visible()
    context.close()


# Texts of figures that touch one another or leave their figure: (figure, text, other text).
TOUCHING = """() => [...document.querySelectorAll('svg.figure')].flatMap(svg => {
  const whole = svg.getBoundingClientRect(), name = svg.querySelector('title').id;
  const texts = [...svg.querySelectorAll('text')]
    .map(t => [t.textContent, t.getBoundingClientRect()]);
  const over = (r, s) => Math.min(r.right, s.right) - Math.max(r.left, s.left) > 1
    && Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top) > 4;
  return !whole.width ? [] : texts.flatMap(([text, r], i) => [
    ...(r.left < whole.left - 1 || r.right > whole.right + 1 ? [[name, text, 'leaves it']] : []),
    ...texts.slice(i + 1).filter(([, s]) => over(r, s)).map(([other]) => [name, text, other]),
  ]);
})"""


@pytest.mark.parametrize("width", [1440, 390])
def test_no_text_of_a_figure_touches_another_or_is_small(browser: Any, width: int) -> None:
    page = paged(browser, viewport={"width": width, "height": 900})
    page.goto((RESULTS / "report" / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(TOUCHING) == []
    scale = "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    front = page.locator(".front svg.figure:visible")
    assert front.evaluate(scale) * 9 >= 11.9, "its text has 9 units"
    page.close()


def test_the_committed_page_answers_in_two_screens_and_is_small(
    browser: Any, record_property: Callable[[str, object], None]
) -> None:
    path = RESULTS / "report" / "index.html"
    page = paged(browser, viewport={"width": 1440, "height": 900})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") <= 12_000
    assert page.locator(".answer li").count() == 5
    for name, end in ((".answer", 900), (".front", 900), (".decisions", 1800), (".further", 1800)):
        box = page.locator(name).last.bounding_box()
        assert box["y"] + box["height"] <= end, name
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    record_property("first_contentful_paint_ms", paint)  # noted: what it is depends on the machine
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
    html = path.read_bytes()
    assert len(html) <= 2_500_000
    assert len(html.rpartition(b"<script>")[2]) < 20_000
