"""A real browser without a window, driven by the W3C WebDriver protocol that Debian's chromedriver speaks."""

import json
import shutil
import subprocess
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
LEVELS = ("SEVERE", "WARNING")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


class Browser:
    """A window of chromium.

    Args:
        session: address of the driver's session.
    """

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to a page, and forget what the console has shown of the last one."""
        self._post("url", {"url": "about:blank"})
        self.errors()
        self._post("url", {"url": url})

    def resize(self, width: int, height: int = 900) -> None:
        """Show pages as on a screen of this size; a window cannot be as narrow as a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._post("goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})

    def run(self, script: str) -> Any:
        """What a script returns in the page."""
        return self._post("execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        """Everything that can be read on the page."""
        return self.run("return document.body.innerText")

    def wait_for(self, condition: Callable[[str], bool], seconds: float = 30.0) -> str:
        """The page's text as soon as a condition holds of it."""
        last = time.monotonic() + seconds
        while not condition(text := self.text()):
            assert time.monotonic() < last, text
            time.sleep(0.2)
        return text

    def errors(self) -> list[str]:
        """Errors and warnings that the console has shown since the last time."""
        return [entry["message"] for entry in self._post("se/log", {"type": "browser"}) if entry["level"] in LEVELS]

    def hosts(self) -> set[str]:
        """Hosts that answered the page's requests."""
        addresses = self.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
        return {address.split("/")[2] for address in addresses if address.startswith("http")}

    def save_picture(self, path: Path) -> None:
        """A picture of the window."""
        with urllib.request.urlopen(f"{self._session}/screenshot") as answer:
            path.write_bytes(b64decode(json.load(answer)["value"]))

    def _post(self, command: str, content: dict[str, Any]) -> Any:
        return _post(f"{self._session}/{command}", content)


@contextmanager
def opened_browser(folder: Path, width: int = 1280, height: int = 1000) -> Iterator[Browser]:
    """Start a driver and a browser whose profile lies in a folder; both are gone afterwards."""
    log = folder / "chromedriver.log"
    with open(log, "w") as output:
        driver = subprocess.Popen([str(DRIVER), "--port=0"], stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{_port(log)}/session"
        arguments = [*OPTIONS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"]
        wanted = {
            "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}
        }  # fmt: skip
        session = _post(address, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(f"{address}/{session}")
        finally:
            urllib.request.urlopen(urllib.request.Request(f"{address}/{session}", method="DELETE")).close()
    finally:
        driver.terminate()
        driver.wait(20)


def _port(log: Path) -> int:
    last = time.monotonic() + 30.0
    while "started successfully on port " not in (text := log.read_text()):
        assert time.monotonic() < last, text
        time.sleep(0.1)
    return int(text.split("started successfully on port ")[1].split(".")[0])


def _post(url: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]
