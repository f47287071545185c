"""A batch of chat lines on a running server: how many lines a second, or only its beginning.

    python benchmarks/batch.py --url http://127.0.0.1:8000 --lines 10000
    python benchmarks/batch.py --url http://127.0.0.1:8000 --lines 10000 --begin
    python benchmarks/batch.py --url http://127.0.0.1:8000 --look BATCH_ID

`--begin` returns when the first lines are answered, `--look` tells how far it is and cancels it. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from typing import Any

from load import chat_body
from processes import cpu_s

#: Between two looks: each of them takes the server's time, too.
LOOK_S = 0.1
KEY = {"Authorization": "Bearer sk-benchmark"}
BOUNDARY = "a-boundary"


def _call(url: str, body: bytes | None, content_type: str = "application/json") -> dict[str, Any]:
    headers = {**KEY, "Content-Type": content_type}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _created(url: str, lines: int) -> dict[str, Any]:
    asked = [
        {"custom_id": f"line-{k}", "method": "POST", "url": "/v1/chat/completions",
         "body": json.loads(chat_body(k))}
        for k in range(lines)
    ]  # fmt: skip
    form = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
        + "\n".join(map(json.dumps, asked))
        + f"\r\n--{BOUNDARY}--\r\n"
    )
    file = _call(f"{url}/v1/files", form.encode(), f"multipart/form-data; boundary={BOUNDARY}")
    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions",
            "completion_window": "24h"}  # fmt: skip
    return _call(f"{url}/v1/batches", json.dumps(body).encode())


def _answered(url: str, batch: dict[str, Any], least: int) -> dict[str, Any]:
    while batch["request_counts"]["completed"] < least and batch["status"] != "completed":
        if batch["status"] in ("failed", "expired", "cancelled"):
            raise SystemExit(f"the batch is {batch['status']}: {batch['errors']}")
        time.sleep(LOOK_S)
        batch = _call(f"{url}/v1/batches/{batch['id']}", None)
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="scheme, host and port")
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--server-pid", type=int, help="measure the CPU time of this process")
    parser.add_argument("--begin", action="store_true")
    parser.add_argument("--look", metavar="BATCH_ID")
    options = parser.parse_args()
    url = options.url
    if options.look:
        batch = _call(f"{url}/v1/batches/{options.look}", None)
        if batch["status"] == "in_progress":
            _call(f"{url}/v1/batches/{options.look}/cancel", b"{}")
        print(json.dumps({"status": batch["status"], **batch["request_counts"]}))
        return
    spent_s, started = cpu_s(options.server_pid), time.perf_counter()
    batch = _created(url, options.lines)
    batch = _answered(url, batch, 1 if options.begin else options.lines + 1)
    took_s = time.perf_counter() - started
    result = {
        "id": batch["id"],
        "failed": batch["request_counts"]["failed"],
        "per_s": options.lines / took_s,
        "server_us": (cpu_s(options.server_pid) - spent_s) / options.lines * 1e6,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
