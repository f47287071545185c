"""What every dialect says of every kind: `golden/DIALECT.json`.

`python -m tests.errors.golden` writes them; read the difference before it is committed.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, get_args

import httpx

from fakeai_proxy.errors import KINDS, of_kind
from fakeai_proxy.providers import PROVIDERS, Dialect, stream_error
from tests.errors.raising import raising

FOLDER = Path(__file__).parent / "golden"
DIALECTS = tuple(name for name in get_args(Dialect) if name != "auto")
_IDS = re.compile(r"req_[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Headers of the connection, and those that tell the time.
_PASSING = {"date", "content-length", "connection", "openai-processing-ms"}


async def said_by(dialect: str) -> dict[str, Any]:
    """Kind -> status, headers and body of the answer, and the frame in the middle of a stream."""
    provider = next(provider for provider in PROVIDERS if provider.name == dialect)
    said: dict[str, Any] = {}
    async with raising(dialect=dialect) as app, httpx.AsyncClient() as client:
        for kind in KINDS:
            answer = await client.post(f"{app.url}/v1/any", headers={"x-kind": kind})
            text = _IDS.sub("ID", answer.text)
            headers = {
                name: _IDS.sub("ID", value)
                for name, value in answer.headers.items()
                if name not in _PASSING
            }
            said[kind] = {
                "status": answer.status_code,
                "headers": headers,
                "body": json.loads(text) if text else None,
                "frame": stream_error(provider, of_kind(kind)).decode(),
            }
    return said


def golden(dialect: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((FOLDER / f"{dialect}.json").read_text("utf-8"))
    return held


if __name__ == "__main__":
    for name in DIALECTS:
        text = json.dumps(asyncio.run(said_by(name)), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
