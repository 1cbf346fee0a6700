"""What a reader sees of a study: on the page, and in a terminal."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

from rich.console import Console

from scripts.report import terminal
from scripts.report.model import Study


class Page(HTMLParser):
    """Ids, tags, links and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []

    def handle_data(self, data: str) -> None:
        self.text += data


def in_a_terminal(study: Study, tmp_path: Path, columns: int = 80) -> str:
    with (tmp_path / "log").open("w") as log:
        console = Console(width=columns, record=True, file=log)
        terminal.print_study(study, Path("index.html"), console)
        return console.export_text()


def as_shown(html: str, gil: bool) -> str:
    """What a browser shows of `page.trainer`; beside a trainer that holds the GIL it hides spans of
    the class `trainer`, as the script of the page says."""
    if gil:
        html = re.sub('<span class="trainer"[^>]*>.*?</span>', "", html)
    return unescape(re.sub("<.*?>", "", html))
