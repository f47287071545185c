"""Charges, headers and refusals against the vendors' documents and observed answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.exchange import Origin, Request
from fakeai_proxy.profiles.limits import LimitsProfile, limits_names, load_limits
from fakeai_proxy.providers import provider_of
from fakeai_proxy.shaping.limits import Limiter, LimitSettings
from fakeai_proxy.shaping.limits.charge import Charge, charge_of
from fakeai_proxy.shaping.limits.demand import Demand, Endpoint, demand_of, endpoint_of
from fakeai_proxy.shaping.limits.duration import go_duration, month_end, rfc3339
from fakeai_proxy.shaping.limits.openai import openai_headers
from fakeai_proxy.shaping.limits.owner import key_name
from fakeai_proxy.shaping.limits.standing import Standing
from fakeai_proxy.shaping.limits.vendor import vendor_of

CHAT = "/v1/chat/completions"


def profile(**values: object) -> LimitsProfile:
    given = {"name": "t", "description": "d", "source": "made up for a test", **values}
    return LimitsProfile.model_validate(given)


def limiter(clock: VirtualClock, *rows: dict[str, object], **values: object) -> Limiter:
    made = Limiter(LimitSettings(), clock)
    made.replace([(profile(limit=rows, **values), "")])
    return made


def asking(path: str = CHAT, query: str = "", host: str = "", **headers: str) -> Request:
    given = tuple((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items())
    origin = Origin("https", host, 443) if host else None
    target = f"{path}?{query}" if query else path
    return Request("POST", target, given, Body(b"{}"), origin)


def take(
    one: Limiter, request: Request, model: str = "gpt-4o", tokens: float = 0, **charge: float
) -> None:
    endpoint = endpoint_of(request.path)
    assert endpoint is not None
    one.check_quota(request, vendor_of(provider_of(request).name))
    rules = one.rules_for("")
    if rules is not None:
        demand = Demand(endpoint.operation, model)
        at_once(one.enter(request, rules.plan(model), demand, Charge(1, tokens, **charge)))


def at_once(entering: Coroutine[None, None, object]) -> None:
    """Whoever counts alone waits for nobody."""
    with pytest.raises(StopIteration):
        entering.send(None)


def told_by(one: Limiter) -> Standing:
    """How the one who asked stands with the one amount there is."""
    rules = one.rules_for("")
    assert rules is not None
    (ledger,) = rules.ledgers()
    ((_, row),) = ledger.rows()
    return ledger.quotas[0].meter.standing(ledger.state, row, one.clock.now())


def refused(one: Limiter, request: Request, model: str = "gpt-4o", **charge: float) -> ApiError:
    with pytest.raises(ApiError) as caught:
        take(one, request, model, **charge)
    assert caught.value.status == 429
    return caught.value


@pytest.mark.parametrize(
    ("used", "requested", "said"),
    [(28_039, 3_906, "3.89s"), (29_937, 385, "644ms"), (29_000, 1_087, "174ms")],
)
def test_published_sums_of_tokens_come_out_as_published(
    used: int, requested: int, said: str
) -> None:
    one = limiter(VirtualClock(), {"tpm": 30_000})
    take(one, asking(), tokens=used)
    error = refused(one, asking(), tokens=requested)
    assert f"Used {used}, Requested {requested}. Please try again in {said}. " in error.message


def test_an_openai_refusal_is_to_the_letter() -> None:
    one = limiter(VirtualClock(), {"tpm": 30_000})
    asker = asking(openai_organization="org-abc")
    take(one, asker, tokens=28_039)
    error = refused(one, asker, tokens=3_906)
    assert error.message == (
        "Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000, "
        "Used 28039, Requested 3906. Please try again in 3.89s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more."
    )
    assert (error.type, error.code, error.param) == ("tokens", "rate_limit_exceeded", None)
    assert (error.headers["retry-after"], error.headers["retry-after-ms"]) == ("4", "3890")
    assert error.headers["x-ratelimit-remaining-tokens"] == "1961"


def test_a_request_above_the_limit_is_not_told_to_wait() -> None:
    error = refused(limiter(VirtualClock(), {"tpm": 30_000}), asking(), tokens=30_601)
    assert error.message == (
        "Request too large for gpt-4o in organization org-fakeai on tokens per min (TPM): Limit 30000, "
        "Requested 30601. The input or output tokens must be reduced in order to run successfully. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    assert error.code == "rate_limit_exceeded"
    assert not {"retry-after", "retry-after-ms"} & set(error.headers)


@pytest.mark.parametrize(
    ("row", "what", "wait"),
    [
        ({"rpm": 3}, "requests per min (RPM): Limit 3, Used 3, Requested 1", "20s"),
        ({"rpd": 3}, "requests per day (RPD): Limit 3, Used 3, Requested 1", "8h0m0s"),
    ],
)
def test_requests_are_told_by_minute_and_by_day(row: dict[str, int], what: str, wait: str) -> None:
    one = limiter(VirtualClock(), dict(row))
    for _ in range(3):
        take(one, asking())
    error = refused(one, asking())
    assert f"on {what}. Please try again in {wait}. " in error.message
    assert error.type == "requests"


@pytest.mark.parametrize(
    ("row", "reset"),
    [({"rpm": 3500}, "17ms"), ({"rpm": 500}, "120ms"), ({"rpd": 10_000}, "8.64s"),
     ({"rpd": 1000}, "1m26.4s")],
)  # fmt: skip
def test_one_request_resets_as_fast_as_it_is_refilled(row: dict[str, int], reset: str) -> None:
    one = limiter(VirtualClock(), dict(row))
    take(one, asking())
    told = openai_headers({"rpm" if "rpm" in row else "rpd": told_by(one)}, one.clock.wall)
    assert dict(told)[b"x-ratelimit-reset-requests"] == reset.encode()
    assert dict(told)[b"x-ratelimit-remaining-requests"] == b"%d" % (next(iter(row.values())) - 1)


def test_durations_are_gos_and_rounded_up() -> None:
    spans = (0.0, 0.174, 3.89, 20.0, 60.0, 86.4, 360.0, 4320.0, 0.0001, 1.0005)
    assert [go_duration(span) for span in spans] == [
        "0s", "174ms", "3.89s", "20s", "1m0s", "1m26.4s", "6m0s", "1h12m0s", "1ms", "1.001s",
    ]  # fmt: skip
    assert rfc3339(1_750_000_000.5) == "2025-06-15T15:06:41Z"
    assert rfc3339(month_end(1_766_000_000)) == "2026-01-01T00:00:00Z"


def test_azure_speaks_in_whole_seconds_and_in_two_wordings() -> None:
    clock = VirtualClock()
    one = limiter(clock, {"tpm": 1000, "tpm_counter": True, "rpm": 60, "rpm_window_s": 10})
    path = "/openai/deployments/mine/chat/completions"
    old = asking(path, "api-version=2024-10-01-preview", "east.openai.azure.com")
    take(one, old, "mine", tokens=900)
    clock.advance(22.5)
    error = refused(one, old, "mine", tokens=200)
    assert error.message == (
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
        "2024-10-01-preview have exceeded token rate limit of your current AIServices S0 pricing tier. "
        "Please retry after 38 seconds. Please contact Azure support service if you would like to "
        "further increase the default rate limit."
    )
    assert error.code == "429"
    assert (error.headers["retry-after"], error.headers["retry-after-ms"]) == ("38", "37500")
    assert error.headers["x-ratelimit-reset-tokens"] == "38"
    fresh = asking("/openai/v1/chat/completions", host="east.openai.azure.com")
    error = refused(one, fresh, "mine", tokens=200)
    assert error.message.startswith(
        "Your requests to mine for mine in East US have exceeded the token"
    )
    assert "Please retry after 38 seconds." in error.message


def test_azure_refuses_a_burst_though_the_minute_is_unused() -> None:
    clock = VirtualClock()
    one = limiter(clock, {"rpm": 60, "rpm_window_s": 10})
    burst = asking("/openai/deployments/mine/embeddings", "api-version=2024-10-21")
    for _ in range(10):
        take(one, burst, "mine")
    error = refused(one, burst, "mine")
    assert "Embeddings_Create" in error.message
    assert "call rate limit" in error.message
    clock.advance(float(error.headers["retry-after"]))
    take(one, burst, "mine")


def test_anthropic_speaks_in_instants_and_thousands() -> None:
    clock = VirtualClock(epoch=1_750_000_000)
    one = limiter(clock, {"rpm": 50, "itpm": 30_000, "otpm": 8_000})
    asker = asking("/v1/messages")
    take(one, asker, "claude-sonnet-4-6", input_tokens=29_400)
    error = refused(one, asker, "claude-sonnet-4-6", input_tokens=2_000)
    assert error.message.startswith(
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute "
        "(org: "
    )
    assert ", model: claude-sonnet-4-6). For details, refer to: " in error.message
    headers = {n: v for n, v in error.headers.items() if n.startswith(("anthropic-r", "retry"))}
    assert headers == {
        "retry-after": "3",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2025-06-15T15:06:42Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "1000",
        "anthropic-ratelimit-input-tokens-reset": "2025-06-15T15:07:39Z",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "8000",
        "anthropic-ratelimit-output-tokens-reset": "2025-06-15T15:06:40Z",
        "anthropic-ratelimit-tokens-limit": "38000",
        "anthropic-ratelimit-tokens-remaining": "9000",
        "anthropic-ratelimit-tokens-reset": "2025-06-15T15:07:39Z",
    }


def test_money_runs_out_until_the_month_is_over() -> None:
    clock = VirtualClock(epoch=1_750_000_000)
    one = limiter(clock, {"usd_per_month": 1})
    take(one, asking(), usd=0.9)
    take(one, asking(), usd=0.1)
    error = refused(one, asking())
    assert (error.type, error.code) == ("insufficient_quota", "insufficient_quota")
    assert "retry-after" not in error.headers
    error = refused(one, asking("/v1/messages"))
    assert "You will regain access on 2025-07-01 at 00:00 UTC." in error.message
    assert "retry-after" not in error.headers
    clock.advance(16 * 86_400)
    take(one, asking())


def test_who_is_refused_at_one_level_pays_at_none() -> None:
    one = limiter(
        VirtualClock(),
        {"scope": "key", "rpm": 100, "tpm": 1000},
        {"scope": "project", "rpm": 2},
        {"scope": "organization", "tpm": 5000},
    )
    mine = asking(authorization="Bearer sk-a", openai_project="p1")
    take(one, mine, tokens=400)
    take(one, mine, tokens=400)
    before = one.status()
    refused(one, mine, tokens=100)
    assert one.status() == before
    take(one, asking(authorization="Bearer sk-a", openai_project="p2"), tokens=100)
    refused(one, asking(authorization="Bearer sk-a", openai_project="p2"), tokens=500)
    take(one, asking(authorization="Bearer sk-b", openai_project="p2"), tokens=500)
    assert "sk-a" not in json.dumps(one.status())


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("pq"), st.integers(1, 60)), max_size=30
    )
)
def test_every_level_has_exactly_what_was_granted(asked: list[tuple[str, str, int]]) -> None:
    limits = {"key": 100, "project": 120, "organization": 200}
    one = limiter(VirtualClock(), *({"scope": scope, "tpd": n} for scope, n in limits.items()))
    used: Counter[tuple[str, str]] = Counter()
    for key, project, n in asked:
        request = asking(authorization=f"Bearer {key}", openai_project=project)
        levels = [("key", key_name(key)), ("project", f"org-fakeai/{project}"),
                  ("organization", "org-fakeai")]  # fmt: skip
        fits = all(used[level] + n <= limits[level[0]] for level in levels)
        if fits:
            take(one, request, tokens=n)
            used.update(dict.fromkeys(levels, n))
        else:
            refused(one, request, tokens=n)
    told = {(str(row["scope"]), str(row["owner"])): row["remaining"] for row in one.status()}
    assert {level: limits[level[0]] - left for level, left in told.items()} == {
        level: used[level] for level in told
    }


def test_models_of_one_row_share_it_unless_each_has_its_own() -> None:
    one = limiter(VirtualClock(), {"model": "gpt-4o*", "rpm": 1}, {"each": True, "rpm": 1})
    take(one, asking(), "gpt-4o")
    refused(one, asking(), "gpt-4o-2024-08-06")
    take(one, asking(), "gpt-3.5")
    take(one, asking(), "gpt-4")
    refused(one, asking(), "gpt-4")


def test_a_batch_waits_in_a_queue_of_its_own() -> None:
    one = limiter(VirtualClock(), {"tpm": 10, "batch_queue_tokens": 90_000})
    at_once(one.enqueue(asking(), "gpt-4o", 60_000))
    with pytest.raises(ApiError, match="Limit: 90,000 enqueued tokens") as caught:
        at_once(one.enqueue(asking(), "gpt-4o", 40_000))
    assert caught.value.code == "token_limit_exceeded"
    take(one, asking(), tokens=10)
    one.dequeue(asking(), "gpt-4o", 60_000)
    at_once(one.enqueue(asking(), "gpt-4o", 40_000))


def test_an_exhausted_key_has_no_quota_until_it_is_restored() -> None:
    one = limiter(VirtualClock(), {"scope": "key", "rpm": 10})
    mine, yours = asking(authorization="Bearer sk-a"), asking(authorization="Bearer sk-b")
    one.exhaust("sk-a")
    assert refused(one, mine).code == "insufficient_quota"
    take(one, yours)
    one.exhaust(str(one.status()[0]["owner"]))
    assert refused(one, yours).code == "insufficient_quota"
    one.restore("sk-a")
    take(one, mine)


def test_a_brown_out_grants_a_share() -> None:
    one = limiter(VirtualClock(), {"rpm": 10})
    one.scale(0.2)
    take(one, asking())
    take(one, asking())
    refused(one, asking())
    one.scale(1)
    take(one, asking(), "gpt-4o")


def charged(policy: str, body: dict[str, object], operation: str = "chat/completions") -> Charge:
    rules = profile(limit=[{"rpm": 1}], charge=policy)
    endpoint = endpoint_of("/v1/" + operation)
    assert endpoint is not None
    return charge_of(demand_of(endpoint, body), rules.charge, rules.default_output_tokens)


def test_a_request_counts_for_what_the_policy_says() -> None:
    body: dict[str, object] = {
        "model": "m",
        "messages": [{"role": "user", "content": "x" * 400}],
        "max_tokens": 50,
    }
    assert charged("estimate", body).tokens == 150
    assert charged("max_tokens", body).tokens == 100
    assert charged("max_tokens", {**body, "max_tokens": 500}).tokens == 500
    assert charged("input", body)[:4] == (1, 100, 100, 0)
    assert charged("actual", body)[:4] == (1, 0, 0, 0)
    assert charged("estimate", {**body, "n": 3}).tokens == 250
    assert charged("estimate", {"messages": body["messages"]}).tokens == 116
    assert charged("estimate", {"input": ["x" * 40, "y" * 40]}, "embeddings").tokens == 20
    assert charged("estimate", {"input": [1, 2, 3]}, "embeddings").tokens == 3
    assert charged("estimate", {"prompt": "a cat", "n": 4}, "images/generations")[:5] == (
        1,
        0,
        0,
        0,
        4,
    )


def test_pictures_do_not_count_by_the_characters_of_their_data() -> None:
    parts = [
        {"type": "text", "text": "x" * 40},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 100_000}},
    ]
    demand = demand_of(Endpoint("responses"), {"input": [{"role": "user", "content": parts}]})
    assert demand.input_tokens == 765 + 10


@pytest.mark.parametrize(
    "value", [None, 7, "text", [], [[]], {"content": 3}, [{"content": [None]}]]
)
@pytest.mark.parametrize("name", ["messages", "input", "max_tokens", "n", "model", "tools"])
def test_a_body_of_any_shape_is_estimated_without_failing(name: str, value: object) -> None:
    assert demand_of(Endpoint("chat/completions"), {name: value}).input_tokens >= 0


def test_only_calls_of_models_are_limited() -> None:
    limited = ("/v1/chat/completions", "/v1/embeddings", "/v1/images/generations", "/v1/messages",
               "/v1/responses", "/openai/deployments/d/chat/completions", "/openai/v1/responses",
               "/chat/completions", "/api/v1/chat/completions", "/v1/audio/speech",
               "/v1beta/models/gemini-2.5:streamGenerateContent")  # fmt: skip
    free = ("/v1/models", "/health", "/metrics", "/v1/files", "/v1/threads/t/messages", "/v1/batches",
            "/v1/chat/completions/x", "/v1/responses/r/cancel", "/v1/messages/count_tokens")  # fmt: skip
    assert all(endpoint_of(path) for path in limited)
    assert not [path for path in free if endpoint_of(path)]
    azure = endpoint_of("/openai/deployments/d/chat/completions")
    assert azure == Endpoint("chat/completions", "d")


def test_every_shipped_number_has_a_source_and_every_tier_a_row_for_all_models() -> None:
    tiers = {}
    for name in limits_names():
        one, _ = load_limits(name)
        tiers[name] = [tier.name for tier in one.tier]
        assert all(price.source for price in one.price)
        for tier in one.tier:
            assert all(row.source for row in tier.limit)
            assert any(row.model == "*" and row.rpm for row in tier.limit)
    assert tiers == {
        "openai": ["free", "1", "2", "3", "4", "5"],
        "azure": ["S0"],
        "anthropic": ["1", "2", "3", "4"],
    }


def test_a_tier_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tier '9'\. Known: free, 1, 2"):
        Limiter(LimitSettings(limits=("openai:9",)), VirtualClock())
    own = tmp_path / "own.toml"
    own.write_text('description = "d"\nsource = "a test of ours"\n[[limit]]\nrpm = 1\n')
    assert load_limits(str(own))[0].rows()[0].rpm == 1
    with pytest.raises(ConfigError, match="no tier 'x'"):
        Limiter(LimitSettings(limits=(f"{own}:x",)), VirtualClock())
