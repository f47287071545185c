"""Every list is asked for in the same terms."""

from __future__ import annotations

import httpx
import pytest

_LISTS = (
    "chat/completions",
    "videos",
    "files",
    "containers",
    "audio/voice_consents",
    "conversation",
)


@pytest.mark.parametrize("path", _LISTS)
@pytest.mark.parametrize("limit", ["--5", "-", "5-", "1e1", "٣", "9" * 50, " 5"])
def test_a_limit_that_is_no_number_is_refused(app_url: str, path: str, limit: str) -> None:
    headers = {"authorization": "Bearer k"}
    with httpx.Client(base_url=app_url + "/v1/", headers=headers) as http:
        if path == "conversation":
            path = f"conversations/{http.post('conversations', json={}).json()['id']}/items"
        answer = http.get(path, params={"limit": limit})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("limit", "invalid_type")


@pytest.mark.parametrize("path", [*(one for one in _LISTS if one != "conversation"), "batches"])
@pytest.mark.parametrize("cursor", ["after", "before"])
@pytest.mark.parametrize("given", ["never-was", "../x", "\x00", "x" * 3000, "ü"])
def test_a_cursor_of_nothing_is_no_failure(
    app_url: str, path: str, cursor: str, given: str
) -> None:
    with httpx.Client(base_url=app_url + "/v1/", headers={"authorization": "Bearer k"}) as http:
        answer = http.get(path, params={cursor: given})
    assert answer.status_code in (200, 400, 404), answer.text
