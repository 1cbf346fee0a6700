"""A real browser, which is waited for where others keep the machine busy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 600.0  # seconds; only what hangs takes them
NO_PLAYWRIGHT = "playwright is not installed"
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed"
)


@contextmanager
def launched() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=BROWSER, args=ARGUMENTS, timeout=1e3 * PATIENCE
        )
        yield started
        started.close()


def paged(of: Any, **options: Any) -> Any:
    """A new page of a browser, or of a context of it."""
    page = of.new_page(**options)
    page.set_default_timeout(1e3 * PATIENCE)
    return page
