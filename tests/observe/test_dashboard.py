"""The dashboard in a real browser: it shows what goes on, and what is done on it is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fakeai_proxy.app import App
from fakeai_proxy.exchange import Exchange
from tests.conftest import serving
from tests.observe.asking import ask, chat
from tests.observe.test_live import exchange
from tests.servers import chromium
from tests.servers.chromium import Browser, Page, PageError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        chromium.FOUND is None,
        reason="NOT TESTED: the dashboard. There is no Chromium; tests/servers/install.sh installs it.",
    ),
]
FAULTS = "/_fakeai/v1/faults"
ROWS = "document.querySelectorAll('.rows .row').length"
#: Chromium alone takes a second or two to start on a busy machine.
SOON_S = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.browsing() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def app() -> AsyncIterator[App]:
    async with serving(profile="quick") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, app: App) -> AsyncIterator[Page]:
    async with opened(browser, app) as found:
        yield found
        assert found.errors == []


def opened(browser: Browser, app: App, **look: Any) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def one() -> AsyncIterator[Page]:
        page = await browser.page()
        await page.look(**look)
        await page.goto(f"{app.url}/_fakeai/")
        await page.until("document.querySelector('.link.live')", SOON_S)
        yield page
        await page.ask("Page.navigate", url="about:blank")

    return one()


async def answered(app: App, times: int = 1) -> list[int]:
    return [(await chat(app, stream=True, max_tokens=4)).status for _ in range(times)]


def chosen(selector: str, value: str) -> str:
    """What a person does who chooses from a list."""
    return (
        f"(() => {{ const one = document.querySelector('{selector}'); one.value = '{value}';"
        " one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


async def test_an_empty_page_teaches_and_fills_when_something_is_asked(
    page: Page, app: App
) -> None:
    told = await page.until("document.querySelector('.start code')?.textContent", SOON_S)
    assert told.startswith(f"curl -N {app.url}/v1/chat/completions")
    heads = await page.run("[...document.querySelectorAll('h2')].map((head) => head.textContent)")
    assert {"Fleet", "Exchanges", "Faults", "Scenario", "Limits", "Running as"} <= set(heads)
    assert await page.run("document.querySelectorAll('.uplot canvas').length") >= 10
    assert await page.run("document.querySelectorAll('.worker').length") == 2
    await answered(app)
    await page.until(f"{ROWS} === 1")
    await page.until("!document.querySelector('.start')")
    await page.until("document.querySelector('#chart-ttft .legend b').textContent !== '–'")
    assert await page.until("document.querySelector('.tile small').textContent === '1 so far'")


async def test_a_fault_that_is_set_on_the_page_is_met_by_a_client(page: Page, app: App) -> None:
    assert await answered(app) == [200]
    await page.run("document.querySelector('#fault-rule').focus()")
    await page.write("status:code=503")
    await page.press("Enter")
    await page.until(
        "document.querySelector('#faults .rules code')?.textContent === 'status:code=503'"
    )
    assert await answered(app) == [503]
    await page.until("document.querySelector('#faults .times').textContent === '1 ×'")
    await page.until(
        "[...document.querySelectorAll('.badge.bad')].some((each) => each.textContent === '503')"
    )
    await page.click("#faults .rules button")
    await page.until("!document.querySelector('#faults .rules')")
    assert await answered(app) == [200]


async def test_a_wrong_rule_is_told_where_it_was_written(page: Page) -> None:
    await page.run("document.querySelector('#fault-rule').focus()")
    await page.write("cut:afterwards=3")
    await page.press("Enter")
    told = await page.until("document.querySelector('#faults .wrong')?.textContent")
    assert "there is no parameter 'afterwards'" in told
    page.errors.clear()  # the console names every answer that is a 400


async def test_every_preset_is_a_fault_that_there_is(page: Page, app: App) -> None:
    many = await page.run("document.querySelectorAll('.presets button').length")
    for place in range(many):
        await page.click(f".presets button:nth-child({place + 1})")
        await page.until(f"document.querySelectorAll('#faults .rules li').length === {place + 1}")
    assert len((await ask(app, FAULTS)).body["data"]) == many
    await page.click("#faults > header button")
    await page.until("!document.querySelector('#faults .rules')")
    assert (await ask(app, FAULTS)).body["data"] == []


async def test_a_scenario_is_started_marked_and_stopped(page: Page, app: App) -> None:
    await page.until("document.querySelectorAll('#scenario option').length > 5")
    await page.run(chosen("#scenario select", "brown-out"))
    await page.click("#scenario button.strong")
    await page.until("document.querySelectorAll('.phases li').length === 5")
    assert (await ask(app, "/_fakeai/v1/scenario")).body["scenario"] == "brown-out"
    await page.until(
        "document.querySelector('.marks .phase')?.textContent.includes('brown-out: calm')"
    )
    await page.click("#scenario button:not(.strong)")
    await page.until("!document.querySelector('.phases')")
    assert (await ask(app, "/_fakeai/v1/scenario")).body["scenario"] is None


async def test_limits_are_put_in_force(page: Page, app: App) -> None:
    await page.until("document.querySelector('#limits select')")
    await page.run(chosen("#limits select", "openai:1"))
    await page.until("document.querySelector('#limits .sub').textContent === 'openai:1'")
    await page.click("#limits .line button:last-of-type")
    await page.until("/Restore quota/.test(document.querySelector('#limits').textContent)")
    assert await answered(app) == [429]


async def test_an_incident_is_marked_by_keyboard_alone(page: Page, app: App) -> None:
    await page.press("m")
    await page.until("document.activeElement.id === 'mark-note'")
    await page.write("the router was deployed")
    await page.press("Enter")
    await page.until(
        "document.querySelector('.marks')?.textContent.includes('the router was deployed')"
    )
    [mark] = (await ask(app, "/_fakeai/v1/marks")).body["data"]
    assert (mark["kind"], mark["note"]) == ("incident", "the router was deployed")
    await page.press("?")
    await page.until("document.querySelector('dialog .keys')")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog')")
    await page.press("/")
    assert await page.until("document.activeElement.id === 'filter'")
    await page.press("Escape")
    await page.press(" ")
    await page.until("document.querySelector('.link.paused')")


async def test_an_exchange_opens_as_a_timeline_with_each_chunk(page: Page, app: App) -> None:
    await answered(app)
    await chat(app, stream=True, max_tokens=60)  # when all is warm, so that it streams
    await page.until(f"{ROWS} === 2")
    await page.run("document.querySelector('.rows .row').focus()")
    await page.press("ArrowDown")
    await page.until("document.activeElement.dataset.place === '1'")
    await page.press("ArrowUp")
    await page.until("document.activeElement.dataset.place === '0'")
    await page.press("Enter")
    ticks = await page.until("document.querySelector('dialog .token')?.getAttribute('d')")
    shown = await page.run("document.querySelector('dialog code').textContent")
    entry = (await ask(app, f"/_fakeai/v1/journal/{shown}")).body
    assert ticks.count("M") == len(entry["timeline"]["token_ms"]) > 1
    await page.press("Escape")
    await page.until("document.activeElement.dataset.place === '0'")  # the focus is where it was


async def test_the_filter_and_the_choices_narrow_the_list(page: Page, app: App) -> None:
    await answered(app)
    await chat(app, model="no-such-model")
    await page.until(f"{ROWS} === 2")
    await page.click(".filters .choices button:nth-child(2)")
    await page.until(
        f"{ROWS} === 1 && document.querySelector('.rows .badge').textContent === '404'"
    )
    await page.click(".filters .choices button:nth-child(1)")
    await page.run("document.querySelector('#filter').focus()")
    await page.write("quick-")
    await page.until(
        f"{ROWS} === 1 && document.querySelector('.rows .badge').textContent === '200'"
    )


async def test_a_worker_is_drained_and_killed_from_its_card(page: Page, app: App) -> None:
    await page.click(".worker")
    await page.click("dialog .buttons button:nth-child(1)")
    await page.until("document.querySelector('.worker.draining')")
    assert app.site is not None
    assert app.site.workers[0].life == "draining"
    await page.click("dialog .buttons .grave[title^=Gone]")
    await page.until("document.querySelector('.worker.dead')")
    assert app.site.workers[0].life == "dead"


async def test_five_hundred_exchanges_a_second_leave_it_responsive(page: Page, app: App) -> None:
    await page.run("(() => { window.frames_ = 0; const tick = () => { window.frames_ += 1;"
                   " requestAnimationFrame(tick); }; tick(); })()")  # fmt: skip
    sent = 0
    for _ in range(6):
        for made in storm(app, sent, 250):
            for observer in (app.status, app.journal, app.live):
                observer.finished(made)
        sent += 250
        before = await page.run("window.frames_")
        await page.until(
            f"document.querySelector('#exchanges .sub').textContent.startsWith('{sent:,} seen')"
        )
        assert await page.run("window.frames_") > before
    assert await page.run("document.querySelectorAll('*').length") < 2500
    assert await page.run(ROWS) < 60
    await page.press("t")  # it still listens
    assert await page.until("document.documentElement.dataset.theme === 'dark'")


def storm(app: App, first: int, many: int) -> list[Exchange]:
    at = app.clock.now()
    return [exchange(at, id=f"req_{first + number}") for number in range(many)]


async def test_the_theme_follows_the_system_until_one_is_chosen(browser: Browser, app: App) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    async with opened(browser, app) as page:
        light = await page.run(paper)
        await page.look(dark=True)
        await page.until(f"{paper} !== '{light}'")
        await page.until("document.querySelector('[aria-label=\"Light theme\"]')")
        await page.press("t")
        await page.until(f"{paper} === '{light}'")
        await page.look(dark=False)
        await page.look(dark=True)
        assert await page.run(paper) == light
        await page.run("localStorage.removeItem('fakeai-theme')")  # other pages have the same store


async def test_a_phone_scrolls_down_only(browser: Browser, app: App) -> None:
    await answered(app, 2)
    async with opened(browser, app, width=390, height=844) as page:
        await page.until(f"{ROWS} === 2")
        assert await page.run("document.documentElement.scrollWidth") == 390
        wide = await page.run(
            "[...document.querySelectorAll('main *')].map((each) => [each.className,"
            " each.getBoundingClientRect().right]).filter(([name, right]) => right > 391)"
        )
        assert wide == []
        await page.click(".rows .row")
        await page.until("document.querySelector('dialog').getBoundingClientRect().width === 390")
        assert page.errors == []


async def test_it_is_dark_and_still_for_whoever_wants_that(browser: Browser, app: App) -> None:
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    async with opened(browser, app, dark=True, still=True) as page:
        assert max(await page.run(brightness)) < 40
        assert await page.run("document.getAnimations().length") == 0
        await page.press("t")
        await page.until(f"Math.min(...{brightness}) > 200")
        await page.goto(f"{app.url}/_fakeai/")
        assert min(await page.run(brightness)) > 200  # it was remembered


async def test_profile_and_speed_are_changed_where_they_may_be(
    browser: Browser, page: Page
) -> None:
    assert "at the start" in await page.until(
        "document.querySelector('#settings > .hint')?.textContent"
    )
    assert await page.run("document.querySelector('#settings select')") is None  # a fleet's
    async with serving(profile="openai") as app, opened(browser, app) as hosted:
        await hosted.until("document.querySelector('#settings select')?.value === 'openai'")
        await hosted.click("#settings .choices button:last-child")
        await hosted.until(
            "document.querySelector('#settings [aria-pressed=true]')?.textContent === '× 20'"
        )
        await hosted.run(chosen("#settings select", "none"))
        await hosted.until("document.querySelector('#settings select')?.value === 'none'")
        told = (await ask(app, "/_fakeai/v1/profile")).body
        while told["profile"] != "none":
            await hosted.until("new Promise((done) => setTimeout(() => done(true), 50))")
            told = (await ask(app, "/_fakeai/v1/profile")).body
        assert told["speed"] == 20
        assert await hosted.until(
            "document.querySelector('#settings code').textContent === "
            "'fakeai-proxy --mode synth --profile none --speed 20'"
        )
        assert hosted.errors == []


async def test_the_token_is_asked_for_once(browser: Browser) -> None:
    async with serving(profile="quick", admin_token="let me in") as app:
        page = await browser.page()
        await page.goto(f"{app.url}/_fakeai/")
        await page.until("document.activeElement.id === 'token'", SOON_S)
        await page.write("let me in")
        await page.press("Enter")
        await page.until(
            "document.querySelector('.link.live') && !document.querySelector('dialog')"
        )
        await answered(app)
        await page.until(f"{ROWS} === 1")
        page.errors.clear()  # the 401 before
        await page.goto(f"{app.url}/dashboard")
        await page.until("document.querySelector('.link.live')", SOON_S)
        assert page.errors == []


async def test_a_miss_explains_itself(browser: Browser) -> None:
    async with (
        serving(mode="replay", cassette=("cassettes/quickstart.jsonl",)) as app,
        opened(browser, app) as page,
    ):
        await ask(app, "/v1/models/gpt-4o-mini")
        await ask(app, "/v1/models/gpt-9")
        told = await page.until("document.querySelector('.misses-list p')?.textContent")
        assert "There is no recording of GET /v1/models/gpt-9" in told
        assert await page.until(
            "document.querySelector('#cassettes .sub').textContent === '1 hit, 1 miss: 50 % found'"
        )
        assert await page.run("document.querySelector('#fleet')") is None
        assert await page.until(
            "document.querySelector('#settings code').textContent === "
            "'fakeai-proxy --mode replay --cassette cassettes/quickstart.jsonl --speed 1'"
        )
        assert "Store" not in await page.run("document.querySelector('#settings').textContent")


async def test_a_miss_that_was_made_up_for_explains_itself_too(browser: Browser) -> None:
    async with (
        serving(mode="hybrid", cassette=("cassettes/quickstart.jsonl",)) as app,
        opened(browser, app) as page,
    ):
        await ask(app, "/v1/models/gpt-4o")
        told = await page.until("document.querySelector('.misses-list p')?.textContent")
        assert "There is no recording of GET /v1/models/gpt-4o" in told
        assert told.endswith("Answered by synth.")
        await page.until(f"{ROWS} === 1")
        await page.click(".rows .row")
        assert "There is no recording" in await page.until(
            "document.querySelector('.miss p')?.textContent"
        )


async def test_it_comes_back_by_itself(browser: Browser) -> None:
    async with serving() as app:
        page = await browser.page()
        await page.goto(f"{app.url}/_fakeai/")
        await page.until("document.querySelector('.link.live')", SOON_S)
        app.gateway.end_streams()
        await page.until("document.querySelector('.link.lost')")
        await page.until("document.querySelector('.link.live')")


async def test_the_driver_tells_what_a_page_throws(browser: Browser) -> None:
    page = await browser.page()
    with pytest.raises(PageError, match="not within 50 ms"):
        await page.until("false", within_s=0.05)
    await page.run("setTimeout(() => { throw new Error('late') }, 0)")
    async with asyncio.timeout(10):
        while not page.errors:
            await page.run("new Promise((done) => setTimeout(done, 10))")
    assert json.dumps(page.errors).count("late") >= 1
