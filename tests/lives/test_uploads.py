"""Bodies larger than the memory that the program may take for them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.clients.conftest import Launch
from tests.doubles.program import Program
from tests.doubles.upstream import FakeUpstream, json_reply

UPLOAD_BYTES = 100 << 20
GROWTH_BYTES = 40 << 20
_PIECE_BYTES = 1 << 20


async def upload(digest: hashlib._Hash) -> AsyncIterator[bytes]:
    """Bytes that nothing can compress."""
    for number in range(UPLOAD_BYTES // _PIECE_BYTES):
        piece = hashlib.shake_128(number.to_bytes(4)).digest(_PIECE_BYTES)
        digest.update(piece)
        yield piece


async def growth(program: Program, client: httpx.AsyncClient) -> tuple[object, str, int]:
    """The answer to an upload, the upload's digest, and how many bytes of memory it took."""
    warm_up = await client.post(f"{program.base_url}/files", content=b"warm-up")
    assert warm_up.status_code == 200
    before = program.peak_memory_bytes()
    digest = hashlib.sha256()
    answer = await client.post(f"{program.base_url}/files", content=upload(digest))
    return answer.json(), digest.hexdigest(), program.peak_memory_bytes() - before


async def test_100_mb_are_recorded_and_recognized_without_being_held_in_memory(
    launch: Launch, tmp_path: Path
) -> None:
    cassette = ("--cassette", str(tmp_path / "upload.fcz"))
    async with FakeUpstream() as upstream, httpx.AsyncClient(timeout=60) as client:
        upstream.on("POST", "/v1/files", json_reply({"id": "small"}), json_reply({"id": "large"}))
        program = await asyncio.to_thread(
            launch, "--mode", "record", *cassette, "--upstream", upstream.url
        )
        answer, digest, grown_bytes = await growth(program, client)
        assert answer == {"id": "large"}
        request = await upstream.request(1)
        assert (request.size, request.sha256) == (UPLOAD_BYTES, digest)
        assert grown_bytes < GROWTH_BYTES, f"{grown_bytes / 2**20:.0f} MiB"
        await asyncio.to_thread(program.stop)

        program = await asyncio.to_thread(launch, "--mode", "replay", *cassette)
        answer, _, grown_bytes = await growth(program, client)
        assert answer == {"id": "large"}
        assert grown_bytes < GROWTH_BYTES, f"{grown_bytes / 2**20:.0f} MiB"
