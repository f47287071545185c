"""curl in the ways that people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import run_client
from tests.doubles.program import Program, bare_environment

MODELS = "https://api.openai.com/v1/models"
#: curl's exit status where a proxy refuses CONNECT.
NO_TUNNEL = 56
SIGNED = ("-sS", "-m", "30", "-H", "Authorization: Bearer sk-test")


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
def test_curl_over_the_forward_proxy(curl: Path, proxied: dict[str, str], version: str) -> None:
    said = run_client([curl, *SIGNED, version, "-w", "\n%{http_version}", MODELS], proxied)
    body, spoken = said.rsplit("\n", 1)
    assert len(json.loads(body)["data"]) > 2
    assert spoken in ("1", "1.0", "1.1"), "HTTP/2 is not offered"


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_streams_from_the_base_url(curl: Path, synth: Program, version: str) -> None:
    call = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    said = run_client(
        [
            curl, "-N", *SIGNED, version, "-H", "Content-Type: application/json",
            "-d", json.dumps(call), f"{synth.base_url}/chat/completions",
        ],
        bare_environment(),
    )  # fmt: skip
    assert said.endswith("data: [DONE]\n\n")


def test_curl_asks_for_a_plain_url_in_absolute_form(
    curl: Path, synth: Program, proxied: dict[str, str]
) -> None:
    said = run_client([curl, *SIGNED, MODELS.replace("https", "http")], proxied)
    assert len(json.loads(said)["data"]) > 2


def test_curl_is_told_why_a_host_is_refused(curl: Path, proxied: dict[str, str]) -> None:
    told = run_client([curl, *SIGNED, "http://unlisted.example/"], proxied)
    assert "--allow-host unlisted.example" in json.loads(told)["error"]["message"]
    said = run_client(
        [curl, *SIGNED, "-w", "%{http_connect}", "https://unlisted.example/"], proxied, NO_TUNNEL
    )
    assert said == "403"


def test_a_large_upload_waits_for_permission_and_is_refused_in_the_vendors_words(
    curl: Path, proxied: dict[str, str], tmp_path: Path
) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b'{"model": "' + b"x" * 4_000_000 + b'"}')
    said = run_client(
        [
            curl, *SIGNED, "-H", "Expect: 100-continue", "-H", "Content-Type: application/json",
            "--data-binary", f"@{large}", "https://api.openai.com/v1/chat/completions",
        ],
        proxied,
    )  # fmt: skip
    assert json.loads(said)["error"]["type"] == "invalid_request_error"
