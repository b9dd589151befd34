"""A real browser for the tests of the page: one that is installed, never one that is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
]  # fmt: skip
HOW = "no browser: install one with  sudo apt-get install chromium-headless-shell"


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser. Where there is none the test is skipped, or fails if BROWSER_TESTS is "required"."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(HOW)
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=SWITCHES)
        yield started
        started.close()


@dataclass
class Opened:
    """A page in a window of its own, offline or with its own server alone, and what went wrong in it."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, beside the page's own."""
    complaints: list[str] = field(default_factory=list)
    """What the console said, and errors that nothing caught."""

    def go(self, link: str) -> None:
        """Open the page at a link, such as #cross/l2h3/q7/walk4/ko."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}{link}")
        self.page.wait_for_selector("html[data-ready]")

    def all(self, selector: str, script: str) -> list[Any]:
        """What a JavaScript expression of `e` gives for each element."""
        return self.page.eval_on_selector_all(selector, f"list => list.map(e => {script})")  # type: ignore[no-any-return]


@contextmanager
def opened(
    browser: Browser,
    place: Path | str,
    link: str = "",
    width: int = 1280,
    height: int = 800,
    theme: Literal["light", "dark"] = "light",
    motion: Literal["no-preference", "reduce"] = "no-preference",
) -> Iterator[Opened]:
    """Open a file offline, or an address; on leaving, nothing must have been asked for, but that address, and
    nothing gone wrong."""
    address = place.as_uri() if isinstance(place, Path) else place
    own = ("file:", "data:", "blob:") if isinstance(place, Path) else (address, "data:", "blob:")
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion=motion,
        offline=isinstance(place, Path),
        accept_downloads=True,
        locale="en-GB",
    )
    page = context.new_page()
    window = Opened(page, address)
    page.on("request", lambda r: None if r.url.startswith(own) else window.requests.append(r.url))
    page.on("console", lambda message: window.complaints.append(message.text))
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    window.go(link)
    yield window
    context.close()
    assert window.requests == []
    assert window.complaints == []
