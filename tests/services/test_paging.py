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
