"""This file decides how tests open a page in a real Chromium, and what they ask it."""

import base64
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
    # A page of a test is not to wait for what the browser asks its maker.
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
PATIENCE = 30.0  # seconds


@dataclass
class Browser:
    driver: Any

    def open(
        self, page: Path, *, theme: str = "light", width: int = 1200, height: int = 900
    ) -> None:
        """A fresh load of a page, with nothing remembered."""
        self.size(width, height)
        self.media(theme)
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.as_uri())
        self.run("try { localStorage.clear() } catch {}")

    def size(self, width: int, height: int) -> None:
        sides = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sides)

    def media(self, theme: str, medium: str = "") -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        asked = {"media": medium, "features": features}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def press(self, selector: str) -> None:
        """Presses the first element of a selector as a person would, scrolled to."""
        found = self.one(selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
        found.click()

    def wait(self, is_so: Callable[[], object]) -> None:
        """Until something is so, for PATIENCE at most."""
        ends = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < ends, "the page did not come to that"
            time.sleep(0.02)

    def complaints(self) -> list[str]:
        """What the console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What the page asked for."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def screenshot(self) -> np.ndarray:
        """(H, W, 3) uint8 of what is on view."""
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        picture = Image.open(io.BytesIO(base64.b64decode(taken["data"])))
        return np.asarray(picture.convert("RGB"))

    def pdf(self) -> bytes:
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        return base64.b64decode(printed["data"])


@contextmanager
def opened() -> Iterator[Browser]:
    chromium = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        told = "needs Chromium and its driver: apt-get install chromium chromium-driver"
        assert not os.environ.get("CI"), told
        pytest.skip(told)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named, so that selenium does not look for one on the network.
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
