"""Headless Chromium, driven over its DevTools protocol: what a person would see and do, without a
package of its own. `browsing()` gives a browser, whose pages know nothing of each other."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

FOUND = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: It talks to nobody but us.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--no-default-browser-check", "--mute-audio",
    "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-port=0",
    # It would give way to whatever else runs, the other tests for one.
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
)  # fmt: skip
_TIMEOUT_S = 40.0
#: What a key is called, beside what it writes.
_CODES = {"Enter": "\r", " ": " ", "Escape": "", "Tab": "", "ArrowDown": "", "ArrowUp": ""}

_UNTIL = """new Promise((done, fail) => {
  const end = performance.now() + %d;
  const look = () => {
    let found = null;
    try { found = (%s); } catch (error) { found = null; }
    if (found) done(found);
    else if (performance.now() > end) fail(new Error("not within %d ms: " + %s));
    else setTimeout(look, 25);
  };
  look();
})"""


class PageError(AssertionError):
    """What the page says went wrong."""


class Page:
    """One tab. `errors` is what its console complained of."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.errors: list[str] = []
        self.loaded = asyncio.Event()

    async def ask(self, method: str, **params: object) -> dict[str, Any]:
        return await self._browser.ask(method, self._session, **params)

    async def goto(self, url: str) -> None:
        self.loaded.clear()
        await self.ask("Page.navigate", url=url)
        await asyncio.wait_for(self.loaded.wait(), _TIMEOUT_S)

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        told = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return told["result"].get("value")

    async def until(self, script: str, within_s: float = 30.0) -> Any:
        """Waits in the page until an expression is true, and gives its value."""
        ms = int(within_s * 1000)
        return await self.run(_UNTIL % (ms, script, ms, json.dumps(script)))

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def press(self, key: str) -> None:
        text = _CODES.get(key, key)
        code = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}.get(key, 0)
        await self.ask(
            "Input.dispatchKeyEvent", type="keyDown", key=key, text=text,
            windowsVirtualKeyCode=code,
        )  # fmt: skip
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def write(self, text: str) -> None:
        """Into what has the focus."""
        await self.ask("Input.insertText", text=text)

    async def look(
        self,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        still: bool = False,
        scale: float = 1,
    ) -> None:
        """On a screen of that size, by a person with those wishes."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 500,
        )  # fmt: skip
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        await self.ask("Emulation.setEmulatedMedia", features=features)

    async def picture(self, path: Path, whole: bool = False) -> None:
        """A PNG of what is on the screen, or of the whole page."""
        told = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))


class Browser:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._reading = asyncio.ensure_future(self._read())

    async def ask(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        return await asyncio.wait_for(answer, _TIMEOUT_S + 20)

    async def page(self) -> Page:
        """With a storage of its own."""
        context = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        target = await self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.ask(f"{domain}.enable")
        return page

    async def close(self) -> None:
        self._reading.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                answer = self._asked.pop(told["id"])
                if answer.done():
                    continue
                if "error" in told:
                    answer.set_exception(PageError(str(told["error"])))
                else:
                    answer.set_result(told["result"])
            elif (page := self._pages.get(told.get("sessionId", ""))) is not None:
                _note(page, told["method"], told["params"])


def _note(page: Page, method: str, params: dict[str, Any]) -> None:
    if method == "Page.loadEventFired":
        page.loaded.set()
    elif method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        page.errors.append(details.get("exception", {}).get("description", details["text"]))
    elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
        page.errors.append(" ".join(str(each.get("value")) for each in params["args"]))
    elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
        entry = params["entry"]
        page.errors.append(f"{entry['text']} {entry.get('url', '')}")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    assert FOUND is not None, "install chromium (tests/servers/install.sh does)"
    with TemporaryDirectory(prefix="fakeai-chromium-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            FOUND, *FLAGS, f"--user-data-dir={folder}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            address = await asyncio.wait_for(_address(process.stderr), 60)
            draining = asyncio.ensure_future(_drain(process.stderr))
            async with aiohttp.ClientSession() as session:
                socket = await session.ws_connect(address, max_msg_size=0)
                browser = Browser(socket)
                yield browser
                await browser.close()
            draining.cancel()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _address(stderr: asyncio.StreamReader) -> str:
    async for line in stderr:
        found = re.search(rb"DevTools listening on (ws://\S+)", line)
        if found:
            return found[1].decode()
    raise PageError("Chromium ended before it listened")


async def _drain(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass
