"""When a fault happens, and what is said of a rule that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.exchange import Exchange, Origin, Request
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.faults.parsing import rule_of, rules_of
from fakeai_proxy.shaping.faults.rule import Conditions
from fakeai_proxy.shaping.faults.settings import FaultSettings
from fakeai_proxy.shaping.faults.table import FAULTS
from fakeai_proxy.shaping.pacing import Scheduler
from tests.test_pipeline import Screen

CHAT = "/v1/chat/completions"


class Bench:
    """Rules on a clock that a test moves."""

    def __init__(self, *rules: Any, seed: int = 0, **settings: Any) -> None:
        self.clock = VirtualClock(autojump=False)
        given = FaultSettings(fault=rules, **settings)
        self.faults = Faults(given, Scheduler(self.clock), self.clock, Dice(seed), "synth")

    async def hit(
        self,
        body: bytes = b'{"model":"gpt-4o"}',
        path: str = CHAT,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        host: str | None = None,
        client: str = "127.0.0.1",
    ) -> tuple[str, ...]:
        """The faults of one request."""
        origin = None if host is None else Origin("https", host, 443)
        request = Request("POST", path, headers, Body(body), origin, client)
        exchange = Exchange("req_1", request, self.clock.now())
        if self.faults.concern(request):
            await self.faults.choose(exchange, Screen(), None)  # type: ignore[arg-type]
        return exchange.faults


KEY = (b"authorization", b"Bearer sk-team-blue")


@pytest.mark.parametrize(
    ("condition", "hits", "misses"),
    [
        ("path=/v1/chat/*", {}, {"path": "/v1/embeddings"}),
        ("model=GPT-4o*", {}, {"body": b'{"model":"o3"}'}),
        (
            "model=gpt-4o",
            {"body": b'{"messages":["model"],"model":"gpt-4o"}'},
            {"body": b"no JSON"},
        ),
        ("model=mine", {"path": "/openai/deployments/mine/chat/completions"}, {}),
        ("model=whisper-1", {"body": b'--x\r\nname="model"\r\n\r\nwhisper-1\r\n'}, {}),
        ("header=x-team", {"headers": ((b"X-Team", b"a"),)}, {}),
        (
            "header=x-team=bl*",
            {"headers": ((b"X-Team", b"blue"),)},
            {"headers": ((b"X-Team", b"red"),)},
        ),
        ("key=sk-team-*", {"headers": (KEY,)}, {}),
        ("host=*.openai.com", {"host": "api.openai.com"}, {}),
        ("client=10.0.0.0/8", {"client": "10.1.2.3"}, {}),
        ("client=::1", {"client": "::1"}, {"client": "unheard-of"}),
        ("method=POST", {}, {}),
        ("mode=synth", {}, {}),
    ],
)
async def test_a_condition_asks_for_one_thing(
    condition: str, hits: dict[str, Any], misses: dict[str, Any]
) -> None:
    bench = Bench(f"cut:after=1,{condition}")
    assert await bench.hit(**hits) == ("cut:after=1",)
    if hits or misses:
        assert await bench.hit(**misses) == ()
    assert bench.faults.list()[0]["applied"] == 1


async def test_another_mode_is_not_meant() -> None:
    assert await Bench("503:mode=replay").hit() == ()


async def test_every_nth_and_bursts() -> None:
    bench = Bench("503:every=4")
    assert [bool(await bench.hit()) for _ in range(8)] == [False, False, False, True] * 2
    bench = Bench("503:every=5,run=2")
    assert [bool(await bench.hit()) for _ in range(10)] == [False, False, False, True, True] * 2


async def test_the_first_attempts_of_each_request_fail() -> None:
    bench = Bench("503:first=2")
    assert [bool(await bench.hit(b"a")) for _ in range(4)] == [True, True, False, False]
    assert [bool(await bench.hit(b"b")) for _ in range(3)] == [True, True, False]


async def test_attempts_may_be_counted_by_key_or_client() -> None:
    bench = Bench("503:first=1,per=key")
    assert [bool(await bench.hit(bytes([k]), headers=(KEY,))) for k in range(3)] == [
        True,
        False,
        False,
    ]
    bench = Bench("503:first=1,per=client")
    assert [bool(await bench.hit(client=f"10.0.0.{k}")) for k in (1, 2, 1)] == [True, True, False]


async def test_between_two_times_and_during_a_phase() -> None:
    bench = Bench("503:from_s=10,until_s=20", "429:phase=brown-out")
    seen = []
    for _ in range(4):
        seen.append(await bench.hit())
        bench.clock.advance(7.0)
    assert seen == [(), (), ("status:code=503",), ()]
    bench.faults.begin("brown-out")
    assert await bench.hit() == ("status:code=429",)
    bench.faults.begin()
    assert await bench.hit() == ()
    bench.faults.restart()
    bench.clock.advance(10.0)
    assert await bench.hit() == ("status:code=503",)


async def test_the_first_rule_wins_unless_it_says_also() -> None:
    assert await Bench("503:model=o3", "429", "500").hit() == ("status:code=429",)
    bench = Bench("latency:ms=5,also=true", "cut:after=1", "500")
    assert await bench.hit() == ("latency:ms=5", "cut:after=1")


@given(order=st.permutations(range(60)), seed=st.integers(0, 5))
async def test_chance_picks_the_same_requests_in_any_order(order: list[int], seed: int) -> None:
    first, again = Bench("503:p=0.3", seed=seed), Bench("503:p=0.3", seed=seed)
    picked = {k for k in range(60) if await first.hit(b"%d" % k)}
    assert {k for k in order if await again.hit(b"%d" % k)} == picked
    # A retry has its own fate, which is the same in every run too.
    assert {k for k in range(60) if await first.hit(b"%d" % k)} == {
        k for k in order if await again.hit(b"%d" % k)
    }


async def test_chance_is_as_likely_as_it_says_and_grows_with_p() -> None:
    few, more = Bench("503:p=0.03"), Bench("503:p=0.06")
    hit = [{k for k in range(4000) if await bench.hit(b"%d" % k)} for bench in (few, more)]
    assert 80 < len(hit[0]) < 165
    assert 185 < len(hit[1]) < 300


async def test_retries_of_one_request_do_not_fail_for_ever() -> None:
    bench = Bench("503:p=0.5")
    fates = [bool(await bench.hit()) for _ in range(200)]
    assert 60 < sum(fates) < 140


async def test_rules_change_while_it_runs() -> None:
    bench = Bench()
    assert await bench.hit() == ()
    one = bench.faults.add("503:p=1")
    other = bench.faults.add({"fault": "cut", "after": 3})
    assert [rule["rule"] for rule in bench.faults.list()] == ["status:code=503,p=1", "cut:after=3"]
    assert await bench.hit() == ("status:code=503",)
    assert bench.faults.remove(one.id)
    assert not bench.faults.remove(one.id)
    assert await bench.hit() == ("cut:after=3",)
    assert bench.faults.list() == [
        {"id": other.id, "rule": "cut:after=3", "fault": "cut", "parameters": {"after": 3},
         "conditions": {}, "applied": 1}
    ]  # fmt: skip
    bench.faults.replace([])
    assert await bench.hit() == ()


ASKED = b"x-fakeai-fault"


async def test_a_request_asks_for_its_own_faults() -> None:
    bench = Bench("500")
    assert await bench.hit(headers=((ASKED, b"429"),)) == ("status:code=429",)
    asked = await bench.hit(headers=((ASKED, b"latency:ms=5, cut:after=20,within=true"),))
    assert asked == ("latency:ms=5", "cut:after=20,within=true")


@pytest.mark.parametrize(
    ("client", "setting", "status"),
    [("10.0.0.1", "loopback", 403), ("127.0.0.1", "off", 403), ("", "loopback", 403),
     ("10.0.0.1", "on", None), ("::1", "loopback", None), ("::ffff:127.0.0.1", "loopback", None)],
)  # fmt: skip
async def test_who_may_ask(client: str, setting: Any, status: int | None) -> None:
    bench = Bench(fault_header=setting)
    if status is None:
        assert await bench.hit(headers=((ASKED, b"503"),), client=client)
        return
    with pytest.raises(ApiError) as caught:
        await bench.hit(headers=((ASKED, b"503"),), client=client)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "asked", [b"nonsense", b"cut:afterr=1", b"503:p=0.5", b"tls_failure", b"cut:after=-1"]
)
async def test_asking_for_what_there_is_not_is_a_400(asked: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        await Bench().hit(headers=((ASKED, asked),))
    assert caught.value.status == 400
    assert "x-fakeai-fault" in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cutt", ["cut", "no fault 'cutt'"]),
        ("cut:aftr=2", ["aftr", "after", "share", "every"]),
        ("cut:after=x", ["after=x"]),
        ("cut:p=2", ["p=2"]),
        ("cut:after", ["'after' is not PARAMETER=VALUE"]),
        ("700", ["code=700"]),
        ("tls_failure:path=/v1/*", ["before a request is known", "host"]),
        ("tls_failure:how=rudely", ["how=rudely", "alert"]),
        ("cut:client=nowhere", ["client=nowhere"]),
    ],
)
def test_a_bad_rule_names_what_is_wrong_and_what_is_known(text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        rule_of(text)
    for words in said:
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="--fault"):
        Config.load(flags={"fault": (text,)})


def test_texts_may_have_been_split_at_their_commas() -> None:
    split = ("cut:p=0.5", "after=20", "429", "first=2", "empty", "stall:s=3")
    assert [rule.text for rule in rules_of(split)] == [
        "cut:after=20,p=0.5", "status:code=429,first=2", "empty", "stall:s=3",
    ]  # fmt: skip
    assert [rule.text for rule in rules_of([", ".join(split)])] == [
        rule.text for rule in rules_of(split)
    ]


def test_every_rule_says_itself() -> None:
    for fault in FAULTS.values():
        rule = rule_of(fault.example)
        assert rule_of(rule.text).text == rule.text
        assert rule_of({"fault": fault.name, **rule.params.model_dump(exclude_unset=True),
                        **rule.conditions.model_dump(exclude_unset=True)}).text == rule.text  # fmt: skip


def test_no_parameter_is_called_as_a_condition() -> None:
    for fault in FAULTS.values():
        assert not set(fault.params.model_fields) & {*Conditions.model_fields, "fault"}
        assert fault.points, f"{fault.name} does nothing"


def test_a_file_has_tables(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(
        '[[fault]]\nfault = "cut"\nafter = 2\np = 0.5\n[[fault]]\nfault = 429\nfirst = 1\n'
    )
    bench = Bench("503:path=/no", faults=file)
    assert [rule.text for rule in bench.faults.rules] == [
        "status:code=503,path=/no", "cut:after=2,p=0.5", "status:code=429,first=1",
    ]  # fmt: skip
    config = tmp_path / "settings.toml"
    config.write_text('[[fault]]\nfault = "cut"\nafter = 2\n')
    assert [rule.text for rule in Config.load(config).fault] == ["cut:after=2"]
    file.write_text('[[faults]]\nfault = "cut"\n')
    with pytest.raises(ConfigError, match="faults"):
        Bench(faults=file)
