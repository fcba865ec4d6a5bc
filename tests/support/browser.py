"""A page in a real browser: headless Chromium, spoken to over pipes in its own protocol (CDP)."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--remote-debugging-pipe"),
)


def chromium() -> str | None:
    """Return the path of Chromium's program; None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class BrowserPage:
    """A page that is open. `console` has what it said, mistakes and refusals included; `dialogs` what it asked."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._waiting, self._number, self._session = b"", 0, ""
        self.console: list[str] = []
        self.dialogs: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, return its result; events before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(
            self._commands,
            json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0",
        )
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]  # type: ignore[no-any-return]

    def wait(self, event: str) -> None:
        """Wait until the browser has told an event of this name."""
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser is gone"
            self._waiting += part
        message, _, self._waiting = self._waiting.partition(b"\0")
        told = json.loads(message)
        self._keep(told.get("method"), told.get("params", {}))
        return told  # type: ignore[no-any-return]

    def _keep(self, method: str | None, parameters: dict[str, Any]) -> None:
        if method == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(str([argument.get("value") for argument in parameters["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])

    def open(self, path: Path) -> None:
        """Open a file, and return when it is loaded."""
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show the page in a window of so many pixels, in the light or the dark."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, top: int = 0, height: int | None = None) -> None:
        """Write what the window shows as PNG; with `height` another part of the page."""
        width = self.value("document.documentElement.clientWidth")
        clip = {} if height is None else {"clip": {"x": 0, "y": top, "width": width, "height": height, "scale": 1}}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=height is not None, **clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def print(self, path: Path) -> None:
        """Write the page as it is printed, as PDF."""
        path.write_bytes(base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True)["data"]))


@contextmanager
def browser() -> Iterator[BrowserPage]:
    """Start Chromium with a profile of its own, give a page of it, end it."""
    program = chromium()
    assert program is not None, "Chromium is not installed"
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [program, *OPTIONS, f"--user-data-dir={profile}"]
        streams = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        running = subprocess.Popen(
            ["bash", "-c", streams, "browser", *arguments], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield BrowserPage(ours_out, ours_in)
        finally:
            os.close(ours_out)
            os.close(ours_in)
            running.terminate()
            running.wait(20)
