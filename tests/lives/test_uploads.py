"""Bodies larger than the memory that the program may take for them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.clients.conftest import Launch
from tests.doubles.upstream import FakeUpstream, json_reply

UPLOAD_BYTES = 100 << 20
GROWTH_BYTES = 40 << 20
_PIECE_BYTES = 1 << 20


async def test_100_mb_go_through_record_mode_without_being_held_in_memory(
    launch: Launch, tmp_path: Path
) -> None:
    digest = hashlib.sha256()

    async def upload() -> AsyncIterator[bytes]:
        for number in range(UPLOAD_BYTES // _PIECE_BYTES):
            piece = hashlib.shake_128(number.to_bytes(4)).digest(_PIECE_BYTES)
            digest.update(piece)
            yield piece

    async with FakeUpstream() as upstream, httpx.AsyncClient(timeout=60) as client:
        upstream.on("POST", "/v1/files", json_reply({"id": "file-1"}))
        program = await asyncio.to_thread(
            launch, "--mode", "record", "--cassette", str(tmp_path / "upload.fcz"),
            "--upstream", upstream.url,
        )  # fmt: skip
        await client.post(f"{program.base_url}/files", content=b"warm-up")
        before = program.peak_memory_bytes()
        answer = await client.post(f"{program.base_url}/files", content=upload())
        assert answer.json() == {"id": "file-1"}
        request = await upstream.request(1)
        assert (request.size, request.sha256) == (UPLOAD_BYTES, digest.hexdigest())
        grown = program.peak_memory_bytes() - before
    assert grown < GROWTH_BYTES, f"{grown / 2**20:.0f} MiB"
