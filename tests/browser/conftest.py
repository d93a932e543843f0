"""Headless Chromium, on the pages that ``write_pages`` has written."""

import base64
import shutil
from importlib import resources
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PAGES = Path(__file__).resolve().parents[2] / "build" / "browser"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"
AXE = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


class Browser:
    """One Chromium."""

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.run = self.driver.execute_script

    def command(self, name, **parameters):
        """Send a command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def look(self, page, *, width=1280, dark=False, media=""):
        """Load a page on a screen of this width."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media=media, features=[theme])
        self.driver.get((PAGES / f"{page}.html").as_uri())

    def complaints(self):
        """Return Chromium's complaints: errors, and violations of the page's policy."""
        return [one["message"] for one in self.driver.get_log("browser")]

    def picture(self, name):
        """Save a picture of the whole page beside it."""
        size = "return {width: document.documentElement.clientWidth, height: document.documentElement.scrollHeight}"
        clip = {"x": 0, "y": 0, "scale": 1, **self.run(size)}
        taken = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        (PAGES / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def barriers(self):
        """Return the accessibility problems that axe finds."""
        self.run(AXE)
        found = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One browser for all tests, with a new profile."""
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.driver.quit()
