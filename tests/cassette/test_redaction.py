"""No secret reaches the disk: any shape, any place, any cuts, any coding."""

import base64
import gzip
import json
import re
import zlib
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.draft import Draft, Heard, Sealer
from fakeai_proxy.cassette.findings import verify_secrets
from fakeai_proxy.cassette.format import Interaction, RecordedRequest
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.redaction import Redactor, credentials, echoes_of
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.clock import SystemClock

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _of(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)


SECRETS = st.one_of(
    _of(r"sk-[A-Za-z0-9]{48}"),
    _of(r"sk-(proj|svcacct|admin)-[A-Za-z0-9_-]{40,120}"),
    _of(r"sk-ant-api03-[A-Za-z0-9_-]{80}"),
    _of(r"nvapi-[A-Za-z0-9_-]{64}"),
    _of(r"AIza[0-9A-Za-z_-]{35}"),
    _of(r"AKIA[0-9A-Z]{16}"),
    _of(r"gh[pousr]_[A-Za-z0-9]{36}"),
    _of(r"github_pat_[A-Za-z0-9_]{60}"),
    _of(r"xox[bp]-[0-9]{12}-[A-Za-z0-9]{24}"),
    _of(r"hf_[A-Za-z]{34}"),
    _of(r"gsk_[A-Za-z0-9]{52}"),
    _of(r"xai-[A-Za-z0-9]{80}"),
    _of(r"eyJ[A-Za-z0-9_-]{20}\.eyJ[A-Za-z0-9_-]{40}\.[A-Za-z0-9_-]{43}"),
    _of(r"[A-Za-z0-9]{30}[0-9]{10}").map("Bearer {}".format),
    _of(r"[A-Za-z0-9+/]{64}").map(
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----".format
    ),
)
FILL = st.text(" abcdefgh.,{}\n", max_size=60)
CODERS = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def core(secret: str) -> bytes:
    """The part of a secret that must be nowhere."""
    bare = secret.removeprefix("Bearer ")
    return (bare.split("\n")[1] if "\n" in bare else bare).encode()


def on_disk(folder: Path) -> bytes:
    """Everything in the files of a cassette, decompressed."""
    found = b""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".zst":
                with zstandard.ZstdDecompressor().stream_reader(
                    data, read_across_frames=True
                ) as reader:
                    data = reader.read()
            found += path.name.encode() + data
    return found


def record(folder: Path, draft: Draft) -> Interaction:
    chosen = CassetteSettings(cassette=(folder,))
    library = Library.open(chosen, SystemClock(), record=True)
    library.begin(draft)
    assert library.append(draft).result(timeout=30)
    recorded = library.load(library.index.entries[-1])
    library.close()
    return recorded


def draft_of(
    request: bytes = b"{}",
    response: bytes = b"{}",
    *,
    target: str = "/v1/chat/completions",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    response_headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
    cuts: list[int] | None = None,
) -> Draft:
    heard = Heard(200, response_headers)
    for piece in cut(response, cuts):
        heard.body.add(piece)
        heard.cuts.append(len(piece))
        heard.gaps_us.append(1000)
    return Draft("0123456789abcdef", 1.0, "https://api.openai.com", "POST", target, headers,
                 body=Tape(request), heard=heard)  # fmt: skip


def cut(data: bytes, cuts: list[int] | None) -> list[bytes]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts or [])})
    return [data[start:end] for start, end in pairwise(borders)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    secret=SECRETS,
    before=FILL,
    after=FILL,
    place=st.sampled_from(["request", "response", "target", "header", "response header"]),
    coding=st.sampled_from(sorted(CODERS)),
    cuts=st.lists(st.integers(0, 5000), max_size=5),
    lines=st.booleans(),
)
def test_a_planted_secret_is_never_on_disk(
    tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, after: str, place: str,
    coding: str, cuts: list[int], lines: bool,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("planted") / "c.fcz"
    planted = before + secret + after
    body = json.dumps({"content": planted}).encode()
    if lines:
        body = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    coded = CODERS[coding](body)
    kind = b"text/event-stream" if lines else b"application/json"
    coded_headers = ((b"content-type", kind), (b"content-encoding", coding.encode()))
    one_line = planted.replace("\n", " ").encode()
    draft = {
        "request": lambda: draft_of(coded, headers=coded_headers),
        "response": lambda: draft_of(response=coded, response_headers=coded_headers, cuts=cuts),
        "target": lambda: draft_of(target=f"/v1/x?q={quote(planted)}&api_key={quote(secret)}"),
        "header": lambda: draft_of(headers=((b"user-agent", one_line), (b"x-mine", one_line))),
        "response header": lambda: draft_of(response_headers=((b"x-echo", one_line),)),
    }[place]()
    recorded = record(folder, draft)
    assert core(secret) not in on_disk(folder)
    assert verify_secrets(recorded) == []
    if place == "response" and recorded.response is not None:
        assert sum(recorded.response.cuts) == len(recorded.response.body)


@settings(max_examples=40, deadline=None)
@given(
    secret=SECRETS.filter(lambda secret: "\n" not in secret),
    cuts=st.lists(st.integers(1, 200), min_size=1, max_size=12),
)
def test_a_secret_spelled_over_several_frames_is_found(secret: str, cuts: list[int]) -> None:
    frames = [
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()
        for text in (piece.decode() for piece in cut(f"so: {secret} it is".encode(), cuts))
    ]
    body = b"\n\n".join([*frames, b"data: [DONE]", b""])
    clean = Redactor(b"salt").scrub(body, (), lines=True)
    told = [json.loads(frame[6:]) for frame in clean.split(b"\n\n") if frame.startswith(b"data: {")]
    text = "".join(frame["choices"][0]["delta"]["content"] for frame in told)
    assert core(secret).decode() not in text
    assert text.startswith("so: ")
    assert len(clean) == len(body)


@given(
    secret=SECRETS,
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    place=st.integers(0, 300_000),
)
@settings(max_examples=40, deadline=None)
def test_a_large_body_is_scanned_across_its_pieces(
    secret: str, sizes: list[int], place: int
) -> None:
    body = (b"lorem ipsum " * 25_000)[:place] + secret.encode() + b" dolor" * 20_000
    pieces, position = [], 0
    while position < len(body):
        size = sizes[len(pieces) % len(sizes)] * 20
        pieces.append(body[position : position + size])
        position += size
    redactor = Redactor(b"salt")
    clean = b"".join(redactor.scrub_pieces(pieces, ()))
    assert core(secret) not in clean
    assert len(clean) == len(body)
    assert redactor.finds(pieces, ())
    assert not redactor.finds([clean], ())


@pytest.mark.parametrize(
    "form",
    [
        lambda key: key,
        base64.b64encode,
        lambda key: base64.b64encode(b"user:" + key + b"!"),
        lambda key: base64.urlsafe_b64encode(b"ab" + key),
        lambda key: quote(key, safe="").encode(),
        lambda key: json.dumps(key.decode()).encode(),
    ],
)
def test_the_credential_of_the_request_is_found_in_every_form(tmp_path: Path, form) -> None:  # type: ignore[no-untyped-def]
    key = b'my own/"secret"+key=of no known shape'
    told = (
        b'{"error": "bad key ' + form(key).replace(b'"', b"'" if form(key) == key else b'"') + b'"}'
    )
    headers = ((b"X-Api-Key", key), (b"Content-Type", b"application/json"))
    plain = draft_of(response=form(key), headers=headers)
    recorded = record(tmp_path / "c.fcz", plain)
    assert form(key).strip(b'="') not in on_disk(tmp_path)
    assert key not in on_disk(tmp_path)
    assert recorded.auth["scheme"] == "x-api-key"
    assert told


def test_equal_secrets_stay_equal_and_cassettes_cannot_be_compared() -> None:
    secret, other = b"sk-proj-" + b"a1" * 20, b"sk-proj-" + b"b2" * 20
    one, two = Redactor(b"one"), Redactor(b"two")
    clean = one.scrub(b"%b %b %b" % (secret, other, secret), ())
    first, second, third = clean.split(b" ")
    assert first == third != second
    assert first.startswith(b"REDACTED.openai.")
    assert two.scrub(secret, ()) != first


@pytest.mark.parametrize("secret", ["sk-test-token-0", "AKIA" + "Q" * 16, "x" * 8 + "1"])
def test_placeholders_have_the_length_of_what_they_replace(secret: str) -> None:
    clean = Redactor(b"s").scrub(b"<" + secret.encode() + b">", echoes_of([secret.encode()]))
    assert len(clean) == len(secret) + 2
    assert secret.encode() not in clean


def test_ordinary_text_is_left_alone() -> None:
    text = (
        b"A risk-adjusted return; a task-oriented, desk-bound bearer of news. Bearer bonds. eyJhbGci "
        b"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT gh_ xoxo org-chart proj_x hf_ AKIA"
    )
    assert Redactor(b"s").scrub(text, echoes_of([b"test"]), lines=True) is text


def test_headers_pass_by_an_allow_list() -> None:
    redactor = Redactor(b"s")
    given_headers = (
        (b"Authorization", b"Bearer abc"), (b"Cookie", b"id=1"), (b"User-Agent", b"me"),
        (b"X-Stainless-Lang", b"python"), (b"X-Internal-User", b"jane"), (b"user-agent", b"me too"),
    )  # fmt: skip
    kept = redactor.request_headers(given_headers, ())
    assert [name for name, _ in kept] == [
        b"Authorization", b"User-Agent", b"X-Stainless-Lang", b"user-agent",
    ]  # fmt: skip
    assert kept[0][1].startswith(b"Bearer REDACTED.credential.")
    answered = ((b"Set-Cookie", b"a"), (b"openai-organization", b"acme"), (b"x-request-id", b"r"))
    masked, rest = redactor.response_headers(answered, ())
    assert masked[1].startswith(b"REDACTED.organization.")
    assert rest == (b"x-request-id", b"r")


def test_what_is_clean_for_one_request_is_another_s_credential() -> None:
    redactor = Redactor(b"salt")
    headers = ((b"x-request-id", b"quite-an-ordinary-name"),)
    assert redactor.response_headers(headers, ()) == headers
    echoes = echoes_of([b"quite-an-ordinary-name"])
    assert b"ordinary" not in redactor.response_headers(headers, echoes)[0][1]
    assert redactor.response_headers(headers, ()) == headers


def test_query_credentials_become_placeholders() -> None:
    target = Redactor(b"s").target("/v1/models?key=short&model=a&API_KEY=x%2Fy&key=", ())
    assert "short" not in target
    assert "x%2Fy" not in target
    assert "model=a" in target
    assert credentials("/x?key=a%2Fb", ()) == [b"a%2Fb", b"a/b"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_clean_encoded_body_is_stored_as_it_came(tmp_path: Path, coding: str) -> None:
    coded = CODERS[coding](b'{"content": "harmless"}' * 10)
    headers = ((b"content-type", b"application/json"), (b"Content-Encoding", coding.encode()))
    recorded = record(tmp_path / "c.fcz", draft_of(response=coded, response_headers=headers))
    assert recorded.response is not None
    assert recorded.response.body == coded
    assert recorded.response.headers == headers


def test_a_dirty_encoded_body_is_stored_decoded(tmp_path: Path) -> None:
    plain = b'{"key": "sk-proj-' + b"z9" * 30 + b'"}'
    coded = gzip.compress(plain)
    headers = ((b"Content-Encoding", b"gzip"), (b"Content-Length", b"%d" % len(coded)))
    draft = draft_of(response=coded, response_headers=headers, cuts=[5, 9])
    recorded = record(tmp_path / "c.fcz", draft)
    assert recorded.response is not None
    assert recorded.response.headers == ((b"Content-Length", b"%d" % len(plain)),)
    assert len(recorded.response.body) == len(plain) == sum(recorded.response.cuts)  # type: ignore[arg-type]
    assert len(recorded.response.cuts) == 3


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("snappy", b"whatever sk-proj-" + b"a" * 30),
        ("gzip", b"not gzip at all"),
        ("br", b"\xff" * 30),
        ("zstd", b"broken"),
        ("gzip", gzip.compress(bytes(70 << 20), mtime=0)),
    ],
    ids=["unknown", "gzip", "br", "zstd", "bomb"],
)
def test_what_cannot_be_looked_into_is_not_stored(tmp_path: Path, coding: str, body: bytes) -> None:
    headers = ((b"content-type", b"text/plain"), (b"content-encoding", coding.encode()))
    recorded = record(tmp_path / "c.fcz", draft_of(response=body, response_headers=headers))
    assert recorded.response is not None
    assert recorded.response.withheld
    assert recorded.response.body == b""
    assert body not in on_disk(tmp_path)


def test_media_may_keep_a_coding_that_is_not_known(tmp_path: Path) -> None:
    headers = ((b"content-type", b"image/png"), (b"content-encoding", b"odd"))
    recorded = record(
        tmp_path / "c.fcz", draft_of(response=b"\x89PNG\xff", response_headers=headers)
    )
    assert recorded.response is not None
    assert recorded.response.body == b"\x89PNG\xff"


def test_verify_finds_what_an_older_recorder_let_through() -> None:
    request = RecordedRequest(
        "POST", "/v1?x=AKIA" + "A" * 16, ((b"Authorization", b"Bearer topsecretvalue1"),),
        b'{"a": "hf_' + b"a" * 34 + b'"}',
    )  # fmt: skip
    found = verify_secrets(Interaction("0" * 16, 0.0, "", request, None, b"", b""))
    assert {finding.kind for finding in found} >= {"aws", "credential", "huggingface"}
    assert not any("topsecretvalue1" in finding.shown for finding in found)


KEY = b"sk-proj-" + b"Ab3_" * 8


def _arriving(body: bytes) -> Draft:
    heard = Heard(
        200, ((b"content-type", b"application/octet-stream"),), body=Tape(), cuts=[len(body)]
    )
    heard.body.add(body)
    asked = ((b"authorization", b"Bearer " + KEY),)
    return Draft("0" * 16, 0.0, "", "POST", "/x", asked, heard=heard)


@pytest.mark.parametrize("arrived", [2 << 20, (2 << 20) + 100, (2 << 20) + 8])
def test_a_large_reply_is_scrubbed_while_it_comes_as_it_is_at_its_end(
    tmp_path: Path, arrived: int
) -> None:
    """The key stands across what had come at the first look."""
    whole = b"\xff" * (2 << 20) + KEY + b"\xfe" * (3 << 20)
    sealer = Sealer(Redactor(b"salt"), BlobStore(tmp_path), False, False)
    at_once = sealer.sealed(_arriving(whole), 1)
    sealer.advance(_arriving(whole[:arrived]))
    assert len(list(tmp_path.glob(".*.part"))) == 1
    stepwise = sealer.sealed(_arriving(whole), 1)
    assert stepwise == at_once
    assert stepwise.response is not None
    assert isinstance(stepwise.response.body, Blob)
    stored = b"".join(BlobStore(tmp_path).read(stepwise.response.body))
    assert len(stored) == len(whole)
    assert KEY not in stored
    assert not list(tmp_path.glob(".*.part"))


def test_a_large_reply_that_is_taken_back_leaves_nothing(tmp_path: Path) -> None:
    sealer = Sealer(Redactor(b"salt"), BlobStore(tmp_path), False, False)
    sealer.advance(_arriving(b"\xff" * (2 << 20)))
    sealer.forget("0" * 16)
    assert not list(tmp_path.iterdir())


def test_an_encoded_reply_is_left_for_its_end(tmp_path: Path) -> None:
    sealer = Sealer(Redactor(b"salt"), BlobStore(tmp_path), False, False)
    draft = _arriving(b"\xff" * (2 << 20))
    assert draft.heard is not None
    draft.heard.headers = ((b"content-encoding", b"gzip"),)
    sealer.advance(draft)
    assert not list(tmp_path.iterdir())
