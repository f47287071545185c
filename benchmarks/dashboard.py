"""What the dashboard feels like: first paint, how soon an exchange is on it, and the longest gap between
frames while 500 exchanges a second end for ten seconds. `python -m benchmarks.dashboard`; needs Chromium."""

from __future__ import annotations

import asyncio

from tests.conftest import serving
from tests.observe.test_live import exchange
from tests.servers.chromium import browsing

RATE, SECONDS, TICKS = 500, 10, 20

WATCH = """(() => {
  window.gaps = []; let last = performance.now();
  const tick = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
})()"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SEEN = "document.querySelector('#exchanges .sub').textContent"
GAPS = """(() => {
  const gaps = window.gaps.slice(2).sort((a, b) => a - b);
  return [gaps.length, gaps[gaps.length >> 1], gaps.at(-1)];
})()"""


async def main() -> None:
    async with serving(profile="quick") as app, browsing() as browser:
        page = await browser.page()
        await page.look()
        await page.goto(f"{app.url}/_fakeai/")
        await page.until("document.querySelector('.link.live')")
        print(f"first contentful paint: {await page.until(PAINT):.0f} ms")
        asked_at = app.clock.now()
        for observer in (app.status, app.journal, app.live):
            observer.finished(exchange(asked_at, id="req_first"))
        await page.until(f"({SEEN}).startsWith('1 ')")
        print(f"an exchange is shown after {(app.clock.now() - asked_at) * 1000:.0f} ms")
        await page.run(WATCH)
        began, number = app.clock.now(), 0
        for tick in range(SECONDS * TICKS):
            at = app.clock.now()
            for _ in range(RATE // TICKS):
                made, number = exchange(at, id=f"req_{number}"), number + 1
                for observer in (app.status, app.journal, app.live):
                    observer.finished(made)
            await app.clock.sleep_until(began + (tick + 1) / TICKS)
        frames, median, longest = await page.run(GAPS)
        print(f"{number} exchanges in {SECONDS} s: {await page.run(SEEN)}; {frames} frames, median gap "
              f"{median:.1f} ms, longest {longest:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
