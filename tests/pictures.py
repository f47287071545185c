"""The README's pictures of the dashboard, taken from a running server under a little load.
`python -m tests.pictures` writes them to examples/."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from PIL import Image

from fakeai_proxy.app import App
from tests.conftest import serving
from tests.observe.asking import ask
from tests.servers.chromium import Page, browsing

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WIDTH, HEIGHT = 1440, 900
#: What everybody's prompt begins with, so that the KV caches have something to find.
SYSTEM = (
    "You answer questions about lighthouses, ships and the sea, briefly and with sources. " * 260
)
ASKED = (
    "Tell me about lighthouses",
    "How does a Fresnel lens work?",
    "Who kept the light at Eddystone?",
    "Write a Python function that reads a light's characteristic",
    "Why do some lights flash?",
)
#: Opens the longest stream of those in view.
STREAMED = """[...document.querySelectorAll('.rows .row')].filter((row) => row.querySelector('.part-prefill')
  && row.querySelector('.badge.good')).sort((a, b) => Number(b.children[5].textContent)
  - Number(a.children[5].textContent))[0].click()"""
#: Requests a second, and for how long before the pictures are taken.
RATE, SECONDS = 9.0, 75


async def one(session: aiohttp.ClientSession, url: str, number: int) -> None:
    body = {
        "model": ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5")[number % 3]
        if number % 29
        else "no-such-model",
        "stream": number % 4 != 0,
        "messages": [
            {"role": "system", "content": f"{number % 17} {SYSTEM}"},
            {"role": "user", "content": f"{ASKED[number % 5]} ({number})"},
        ],
    }
    headers = {"authorization": "Bearer any"}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
            await reply.read()
    except aiohttp.ClientError:
        pass  # a fault cut it


async def load(app: App) -> None:
    """Until it is cancelled."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        number, began = 0, app.clock.now()
        while True:
            number += 1
            # Waves, as real traffic has them.
            rate = RATE * (1.0 + 0.6 * ((app.clock.now() - began) // 12 % 2))
            group.create_task(one(session, app.url, number))
            await app.clock.sleep_until(app.clock.now() + 1.0 / rate)


async def take(page: Page, name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        await page.picture(path)
        data = await asyncio.to_thread(_webp, path)
    await asyncio.to_thread((EXAMPLES / name).write_bytes, data)
    print(f"{name}: {len(data) / 1000:.0f} kB")


def _webp(path: Path) -> bytes:
    out = io.BytesIO()
    Image.open(path).convert("RGB").save(out, "WEBP", quality=88, method=6)
    return out.getvalue()


async def main() -> None:
    async with (
        serving(profile="8xa100-qwen3-32b", any_model=True) as app,
        browsing() as browser,
    ):
        page = await browser.page()
        await page.look(WIDTH, HEIGHT)
        await page.goto(f"{app.url}/_fakeai/")
        loading = asyncio.ensure_future(load(app))
        began = app.clock.now()
        await app.clock.sleep_until(began + SECONDS * 0.5)
        await ask(app, "/_fakeai/v1/marks", "POST", {"note": "half of the streams stall"})
        await ask(app, "/_fakeai/v1/faults", "POST", {"rule": "status:code=503,p=0.08"})
        await app.clock.sleep_until(began + SECONDS)
        await take(page, "dashboard-light.webp")
        await page.look(WIDTH, HEIGHT, dark=True)
        await app.clock.sleep_until(app.clock.now() + 2)
        await page.run(STREAMED)
        await app.clock.sleep_until(app.clock.now() + 2)
        await take(page, "dashboard-dark.webp")
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
