"""A headless Chromium for tests of what a person sees."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 120_000
"""For everything the page is asked to show. A run starts in 3 s on an idle machine, and in 50 s on a crowded one."""


@contextmanager
def browser_page(pictures: Path) -> Iterator[Page]:
    """A page large enough for the whole line; if the block fails, what was on it is kept as `pictures/failure.png`."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program is not None, f"the browser test needs one of {', '.join(BROWSERS)} on PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        try:
            yield page
        except BaseException:
            page.screenshot(path=pictures / "failure.png")
            raise
        finally:
            browser.close()
