"""The same request has the same key; another one has not, and it is said why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette.differences import Side, explain
from fakeai_proxy.cassette.matching import (
    authority_hash,
    canonical_json,
    canonical_key,
    destination,
    nearest,
    raw_key,
    simhash,
)
from fakeai_proxy.exchange import Origin

JSON = ((b"Content-Type", b"application/json"),)


def key(body: bytes, target: str = "/v1/x", headers=JSON, method: str = "POST") -> bytes:  # type: ignore[no-untyped-def]
    return canonical_key(method, target, headers, body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


def _shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shuffled(value[name]) for name in reversed(list(value))}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


@given(_values)
def test_key_order_white_space_and_escapes_do_not_matter(value: object) -> None:
    plain = json.dumps(value).encode()
    other = json.dumps(_shuffled(value), indent=3, ensure_ascii=False)
    assert key(plain) == key(other.encode("utf-8", "surrogatepass")) or "\\ud" in plain.decode()
    canonical = canonical_json(plain)
    assert canonical is not None
    assert canonical_json(canonical) == canonical


@given(_values, _values)
def test_what_differs_has_another_key(one: object, other: object) -> None:
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert key(json.dumps(one).encode()) != key(json.dumps(other).encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":1.0}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":123456789012345678901234567890}', b'{"a":123456789012345678901234567891}'),
        (b'{"a":1e400}', b'{"a":1e500}'),
        (b'{"a":0.1}', b'{"a":0.10000000000000000001}'),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":" x"}', b'{"a":"x"}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":"\xc3\xa9"}', b'{"a":"e\xcc\x81"}'),
        (b'{"a":true}', b'{"a":"true"}'),
        (b'{"a"', b'{"a" '),
    ],
)
def test_nothing_that_means_something_is_dropped(one: bytes, other: bytes) -> None:
    assert key(one) != key(other)


def test_deep_json_is_compared_by_its_bytes() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert key(deep) == key(deep) != key(deep + b" ")


def test_the_query_is_sorted_repeats_and_their_order_stay_and_keys_are_left_out() -> None:
    assert key(b"", "/x?b=2&a=1") == key(b"", "/x?a=1&b=2&key=AIza-secret")
    assert key(b"", "/x?a=1&a=2") != key(b"", "/x?a=2&a=1")
    assert key(b"", "/x?a=1&a=1") != key(b"", "/x?a=1")
    assert key(b"", "/x?a") == key(b"", "/x?a=")


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        (((b"content-type", b"application/json; charset=utf-8"),), True),
        ((*JSON, (b"Authorization", b"Bearer other"), (b"User-Agent", b"x")), True),
        ((*JSON, (b"Anthropic-Version", b"2023-06-01")), False),
        ((*JSON, (b"openai-beta", b"assistants=v2")), False),
        (((b"content-type", b"text/plain"),), False),
    ],
)
def test_only_headers_that_change_what_is_asked_count(headers, same: bool) -> None:  # type: ignore[no-untyped-def]
    assert (key(b"{}", headers=headers) == key(b"{}")) is same


def test_the_type_of_no_body_at_all_does_not_count() -> None:
    bare = key(b"", method="GET", headers=())
    assert bare == key(b"", method="GET", headers=JSON)
    assert key(b"{}", headers=()) != key(b"{}", headers=JSON)


def _form(boundary: str, content: str = "data", name: str = "a.txt") -> tuple[bytes, tuple]:  # type: ignore[type-arg]
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: text/plain\r\n\r\n{content}\r\n--{boundary}\r\ncontent-disposition: "
        f'form-data; name="purpose"\r\n\r\nfine-tune\r\n--{boundary}--\r\n'
    )
    return body.encode(), ((b"content-type", f"multipart/form-data; boundary={boundary}".encode()),)


def test_multipart_is_compared_by_its_parts() -> None:
    one, one_headers = _form("abc")
    two, two_headers = _form("----xyz123")
    assert key(one, headers=one_headers) == key(two, headers=two_headers)
    for changed in (_form("abc", content="date"), _form("abc", name="b.txt")):
        assert key(changed[0], headers=changed[1]) != key(one, headers=one_headers)
    assert key(one[:-4], headers=one_headers) != key(one, headers=one_headers)


def test_the_raw_key_sees_every_byte_but_no_credential() -> None:
    wanted = raw_key("POST", "/x", JSON, b"{}")
    assert raw_key("POST", "/x", (*JSON, (b"authorization", b"x")), b"{}") == wanted
    assert raw_key("POST", "/x", JSON, b"{ }") != wanted
    assert raw_key("POST", "/x?", JSON, b"{}") != wanted


def test_a_base_url_client_and_a_proxied_client_ask_the_same_host() -> None:
    proxied = destination(Origin("https", "api.openai.com", 443), "/v1/models", "http://other")
    assert destination(None, "/v1/models", "https://api.openai.com/v1/") == proxied
    assert destination(None, "/models", "https://API.openai.com:443/v1") == proxied
    assert destination(None, "/v1x", "https://h/v1").target == "/v1/v1x"
    anywhere = destination(None, "/v1/models", None)
    assert (anywhere.authority, authority_hash(anywhere.authority)) == ("", 0)


def test_like_texts_have_like_hashes() -> None:
    text = " ".join(f"word{number % 97} says{number}" for number in range(400)).encode()
    close = simhash(text.replace(b"says200", b"sang200"))
    far = simhash(b" ".join(b"quite%d different" % number for number in range(400)))
    here = simhash(text)
    assert (here ^ close).bit_count() < 10 < (here ^ far).bit_count()
    assert nearest([(far, "far"), (here, "here"), (close, "close")], here, 2) == ["here", "close"]
    assert simhash(b"") == 0


def _side(body: object, target: str = "/v1/x", headers=JSON, host: str = "h") -> Side:  # type: ignore[no-untyped-def]
    return Side("POST", host, target, headers, json.dumps(body).encode())


def test_the_differences_are_named_with_their_paths() -> None:
    words = "one two three four five six seven eight nine ten"
    recorded = _side({"model": "a", "messages": [{"content": words}], "n": 1, "old": True})
    given_side = _side(
        {"model": "b", "messages": [{"content": words.replace("seven", "SEVEN")}, {}], "n": 1.0},
        "/v1/x?beta=1",
        (*JSON, (b"openai-beta", b"v2")),
        "g",
    )
    told = [str(difference) for difference in explain(given_side, recorded)]
    assert told == [
        "host: recorded 'h', given 'g'",
        "query beta: recorded (absent), given '1'",
        "header openai-beta: recorded (absent), given 'v2'",
        "body.model: recorded 'a', given 'b'",
        "message 0 differs at word 7: recorded 'five six seven eight nine ten', "
        "given 'five six SEVEN eight nine ten'",
        "body.messages[1]: recorded (absent), given an object with no keys",
        "body.n: recorded 1, given 1.0",
        "body.old: recorded true, given (absent)",
    ]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_two_bodies_can_be_explained(one: bytes, other: bytes) -> None:
    sides = [Side("POST", "", "/x", (), body) for body in (one, other)]
    assert bool(explain(*sides)) == (one != other) or one.split() == other.split()
    assert (
        len(explain(Side("GET", "", "/y", (), json.dumps(list(range(99))).encode()), sides[0]))
        <= 20
    )
