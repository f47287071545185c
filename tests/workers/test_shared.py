"""Two processes are one service: what one is told or given, the other knows."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.workers.conftest import Service, serving


@pytest.fixture(autouse=True)
def _as_it_was(service: Service) -> None:
    service.control("PUT", "limits", {"limits": [], "restore": ["*"], "scale": 1})
    service.control("DELETE", "faults")
    service.control("DELETE", "scenario")
    service.control("POST", "reset")


def test_both_processes_answer_and_are_told_of_as_one(service: Service) -> None:
    ids = [service.chat(client).headers["x-request-id"] for client in service.clients]
    assert len({one[:20] for one in ids}) == 2, "the ids of a process begin alike"
    for client in service.clients:
        status = client.get("/_fakeai/v1/status").json()
        assert (status["workers"], status["exchanges"]) == (2, {"ok": 4})
        assert status["instance"] == client.get("/_fakeai/health").json()["instance"]


def test_a_file_that_went_to_one_is_there_for_all(service: Service) -> None:
    made = service.clients[0].post(
        "/v1/files", data={"purpose": "user_data"}, files={"file": ("a.txt", b"some words")}
    )
    assert made.status_code == 200, made.text
    for client in service.clients:
        path = f"/v1/files/{made.json()['id']}"
        assert client.get(path).json() == made.json()
        assert client.get(path + "/content").content == b"some words"


def test_equal_requests_have_equal_answers_under_ids_of_their_own(service: Service) -> None:
    answers = [service.chat(client, "The same question").json() for client in service.clients]
    assert len({answer["id"] for answer in answers}) == len(answers)
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_a_limit_is_one_limit(service: Service) -> None:
    own = {"name": "mine", "description": "x", "source": "made up here", "limit": [{"rpd": 50}]}
    service.control("PUT", "limits", {"own": own})

    def ask(client: httpx.Client) -> list[httpx.Response]:
        return [service.chat(client, "Hi", max_tokens=1) for _ in range(50)]

    with ThreadPoolExecutor(len(service.clients)) as pool:
        found = [answer for answers in pool.map(ask, service.clients) for answer in answers]
    by_status = Counter(answer.status_code for answer in found)
    assert by_status == {200: 50, 429: 150}
    left = [one.headers["x-ratelimit-remaining-requests"] for one in found if one.is_success]
    assert sorted(map(int, left)) == list(range(50)), "each was told of another place"
    for client in service.clients:
        (row,) = client.get("/_fakeai/v1/limits").json()["data"]
        assert (row["limit"], row["remaining"]) == (50, 0)
    service.control("POST", "reset")
    assert [service.chat(client).status_code for client in service.clients] == [200] * 4


def test_what_is_held_is_given_back(service: Service) -> None:
    own = {"name": "mine", "description": "x", "source": "made up here",
           "limit": [{"concurrent": 1}]}  # fmt: skip
    service.control("PUT", "limits", {"own": own})
    for client in service.clients * 2:
        assert service.chat(client).status_code == 200
        # It is given back after the answer's last byte: who is asked on the same connection has done so.
        assert client.get("/_fakeai/v1/limits").status_code == 200


def test_a_fault_set_through_one_is_in_force_in_all(service: Service) -> None:
    rule = service.control("POST", "faults", {"rule": "503:model=gpt-4o-mini"})
    assert [service.chat(client).status_code for client in service.clients] == [503] * 4
    for client in service.clients:
        (told,) = client.get("/_fakeai/v1/faults").json()["data"]
        assert (told["id"], told["applied"]) == (rule["id"], 4)
    removed = service.clients[1].delete(f"/_fakeai/v1/faults/{rule['id']}")
    assert removed.status_code == 200
    assert [service.chat(client).status_code for client in service.clients] == [200] * 4


def test_a_wrong_rule_is_refused_and_changes_nothing(service: Service) -> None:
    answer = service.clients[0].post("/_fakeai/v1/faults", json={"rule": "503:modle=x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_fault")
    assert service.control("GET", "faults")["data"] == []


def test_attempts_are_counted_together(service: Service) -> None:
    service.control("POST", "faults", {"rule": "503:first=2"})
    assert [service.chat(c).status_code for c in service.clients] == [503, 503, 200, 200]
    service.control("PUT", "faults", {"rules": ["500:every=3"]})
    asked = [service.chat(c, f"Question {k}") for k in range(3) for c in service.clients]
    assert [one.status_code for one in asked] == [200, 200, 500] * 4


def test_a_retry_has_a_fate_of_its_own_whoever_answers(service: Service) -> None:
    """Counted apart, two processes would have the same in store for the first attempt at each."""
    service.control("POST", "faults", {"rule": "503:p=0.5"})
    fates = [service.chat(service.clients[k % 2], "Odds").status_code for k in range(24)]
    assert any(one != other for one, other in zip(fates[::2], fates[1::2], strict=True))


def test_a_scenario_is_on_in_all_of_them_and_off_again(service: Service) -> None:
    own = {"name": "mine", "description": "x", "source": "made up here",
           "illustrative": True, "phase": [{"name": "outage", "faults": ["503"]}]}  # fmt: skip
    service.control("PUT", "scenario", {"own": own})
    assert [service.chat(client).status_code for client in service.clients] == [503] * 4
    for client in service.clients:
        assert client.get("/_fakeai/v1/scenario").json()["phase"] == "outage"
    service.clients[1].delete("/_fakeai/v1/scenario")
    assert [service.chat(client).status_code for client in service.clients] == [200] * 4


def _ended(entry: dict[str, Any]) -> float:
    arrived = datetime.fromisoformat(entry["arrived"])
    return arrived.timestamp() + float(entry["total_ms"]) / 1000


def test_the_feed_is_of_all_processes(service: Service) -> None:
    port = int(service.program.url.rpartition(":")[2])
    feed = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    feed.request("GET", "/_fakeai/v1/journal/stream?route=/chat/completions")
    reply = feed.getresponse()
    assert reply.readline() == b"retry: 1000\n"
    asked = {service.chat(client).headers["x-request-id"] for client in service.clients}
    seen = set()
    while seen != asked:
        line = reply.readline()
        assert line, "the feed has ended"
        if line.startswith(b"data: "):
            seen.add(json.loads(line[6:])["id"])
            assert seen <= asked
    feed.close()


def test_the_journal_is_of_all_newest_first_and_paged(service: Service) -> None:
    for k in range(10):
        service.chat(service.clients[k % 4], f"Question {k}")
    whole = service.clients[1].get("/_fakeai/v1/journal").json()
    assert (len(whole["data"]), whole["kept"], whole["finished_total"]) == (10, 10, 10)
    assert whole["size"] == 20_000
    ended = [_ended(entry) for entry in whole["data"]]
    assert ended == sorted(ended, reverse=True)
    paged, after = [], ""
    while True:
        query = f"?limit=3{after}"
        page = service.clients[len(paged) % 4].get(f"/_fakeai/v1/journal{query}").json()
        paged += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert paged == whole["data"]
    for client in service.clients:
        one = client.get(f"/_fakeai/v1/journal/{paged[4]['id']}").json()
        assert one.pop("timeline")
        assert one == paged[4]
    assert service.clients[2].get("/_fakeai/v1/journal/nobodys").status_code == 404
    service.clients[1].delete("/_fakeai/v1/journal")
    assert service.control("GET", "journal")["data"] == []


def test_the_metrics_by_model_are_of_all(service: Service) -> None:
    service.control("POST", "reset")
    tokens = 0
    for k in range(8):
        usage = service.chat(service.clients[k % 4], f"Question {k}").json()["usage"]
        tokens += usage["total_tokens"]
    for client in service.clients:
        [model] = client.get("/metrics/by-model").json().values()
        assert (model["request_count"], model["tokens"]["total"]) == (8, tokens)
        minute = client.get("/metrics/json").json()["requests"]
        assert minute["/v1/chat/completions"]["rate"] > 0


def test_what_one_has_handed_out_the_others_know(service: Service) -> None:
    made = (
        service.clients[0]
        .post(
            "/v1/images/generations",
            json={"model": "dall-e-2", "prompt": "a boat", "size": "256x256"},
        )
        .json()
    )
    url = made["data"][0]["url"]
    path = url[url.index("/_fakeai/") :]
    files = {client.get(path).content for client in service.clients}
    assert len(files) == 1
    assert files.pop().startswith(b"\x89PNG")
    assert service.clients[1].get("/_fakeai/media/img-none.png").status_code == 404
    more = {"model": "gpt-4o-audio-preview", "modalities": ["text", "audio"],
            "audio": {"voice": "alloy", "format": "wav"}}  # fmt: skip
    spoken = service.chat(service.clients[0], "Speak", **more).json()
    audio = spoken["choices"][0]["message"]["audio"]["id"]
    messages = [
        {"role": "user", "content": "Speak"},
        {"role": "assistant", "audio": {"id": audio}},
        {"role": "user", "content": "Again"},
    ]
    for client in service.clients:
        again = service.chat(client, **{**more, "messages": messages})
        assert again.status_code == 200, again.text
    unknown = [messages[0], {"role": "assistant", "audio": {"id": "audio_none"}}, messages[2]]
    answer = service.chat(service.clients[1], **{**more, "messages": unknown})
    assert answer.status_code in (400, 404)


def test_a_client_secret_opens_a_session_in_any_process(service: Service) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Answer in rhymes."}
    body = {"session": session}
    secret = service.clients[0].post("/v1/realtime/client_secrets", json=body).json()["value"]
    for _ in range(4):
        with connect(
            service.program.url.replace("http", "ws") + "/v1/realtime",
            additional_headers={"authorization": f"Bearer {secret}"},
            proxy=None,
        ) as socket:
            created = json.loads(socket.recv(timeout=60))
        assert created["session"]["instructions"] == "Answer in rhymes."


def test_the_recorded_order_is_kept_by_all_together(tmp_path: Path) -> None:
    cassette = tmp_path / "a.fcz"
    (tmp_path / "in.jsonl").write_text("")
    with serving(tmp_path, "--mode", "synth", "--profile", "none") as recorded_from:
        upstream = recorded_from.program.url
        with serving(
            tmp_path, "--mode", "record", "--upstream", upstream, "--cassette", str(cassette),
            "--seal", "never",  # whoever closes last seals what the others have left
        ) as recorder:  # fmt: skip
            asked = [recorder.chat(client).json() for client in recorder.clients]
    assert len(list(cassette.glob("*.jsonl.zst"))) == 2, "each process has a file of its own"
    with serving(tmp_path, "--mode", "replay", "--cassette", str(cassette)) as player:
        played = [player.chat(client).json() for client in player.clients]
    assert sorted(one["id"] for one in played) == sorted(one["id"] for one in asked)


def test_access_lines_are_whole_and_of_all(tmp_path: Path) -> None:
    with serving(tmp_path, "--profile", "none") as service:
        for client in service.clients * 5:
            service.chat(client)
    lines = [json.loads(line) for line in service.program.said if line.startswith("{")]
    assert Counter(line["event"] for line in lines) == {"ready": 1, "exchange": 20}


def test_every_process_reads_its_files_again(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\nfault = "429"\n')
    with serving(tmp_path, "--profile", "none", "--faults", str(file)) as service:
        assert {service.chat(client).status_code for client in service.clients} == {429}
        file.write_text('[[fault]]\nfault = "503"\n')
        while {service.chat(client).status_code for client in service.clients} != {503}:
            pass  # twice a second it is looked at
        file.write_text('[[fault]]\nfault = "no-such"\n')
        told = service.control("POST", "reload")["data"]
        assert "no-such" in told[0]["error"]
        file.write_text("")
        os.kill(service.program.pid, signal.SIGHUP)
        while {service.chat(client).status_code for client in service.clients} != {200}:
            pass
