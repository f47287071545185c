"""How a job tells somebody elsewhere: an HTTP request of our own, without redirects."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

#: A receiver that takes longer is asked again later.
TIMEOUT_S = 15.0


class Poster:
    """The session is opened by the first post."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status; 0 where nobody answers."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.post(
                url, headers=headers, data=body, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
