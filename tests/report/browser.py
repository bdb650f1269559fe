"""A real browser that opens reports: what it shows, says in its console, and asks the network."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def programs(environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Paths of Chromium and its driver; skips the test without them, fails it where CI is set.

    `CLUSTERSIM_NO_BROWSER` says of a CI machine that it has none.
    """
    folders = environment.get("PATH", "")
    found = [shutil.which(name, path=folders) for name in (*_PROGRAMS, "chromedriver")]
    browser, driver = next(filter(None, found[:-1]), None), found[-1]
    if browser and driver:
        return browser, driver
    lacking = "a Chromium" if not browser else "chromedriver"
    if environment.get("CI") and not environment.get("CLUSTERSIM_NO_BROWSER"):
        pytest.fail(f"{lacking} is missing; set CLUSTERSIM_NO_BROWSER to test without")
    pytest.skip(f"{lacking} is not installed, so no report is opened")


class Browser:
    """A page open in headless Chromium.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
        With logs of the console and of the network.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, *, width: int = 1280, colours: str = "light") -> None:
        """Open a file at a window's width in CSS pixels, in ``light`` or ``dark`` colours."""
        self.driver.get("about:blank")
        self._resize(width, 900)
        feature = {"name": "prefers-color-scheme", "value": colours}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(path.resolve().as_uri())

    def _resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and give back what it returns."""
        return self.driver.execute_script(script, *arguments)

    def messages(self) -> list[str]:
        """What the console said since the page was opened or this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for besides its own file, since it was opened."""
        events = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        asked = [
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        ]
        loaded = self.run("return performance.getEntriesByType('resource').map(e => e.name)")
        own = self.driver.current_url.partition("#")[0]
        return [url for url in asked + loaded if url != own and not url.startswith("data:")]

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than its window."""
        return int(self.run("return document.scrollingElement.scrollWidth - innerWidth"))

    def screenshot(self, path: Path) -> Path:
        """Picture the whole page; a copy stays in the folder `CLUSTERSIM_SCREENSHOTS`, if set."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return innerWidth")
        self._resize(width, min(height, 12_000))
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        self._resize(width, 900)
        path.write_bytes(base64.b64decode(shot["data"]))
        if folder := os.environ.get("CLUSTERSIM_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
        return path


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A headless Chromium that keeps its own profile in the folder `profile`."""
    program, driver_program = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=driver_program))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
