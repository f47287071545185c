"""Front doors and certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.doors import LOOPS, Door

OpenDoor = Callable[..., Door]


@pytest.fixture(autouse=True)
def _no_proxies_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment says about proxies and certificates would change the results."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE",
                 "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=LOOPS)
def open_door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDoor]:
    """`door = open_door(allow_host=("any",), ...)`, on asyncio and on uvloop."""
    with ExitStack() as stack:

        def start(directory: Path | None = None, **settings: Any) -> Door:
            door = Door(directory or tmp_path / "ca", request.param, **settings)
            return stack.enter_context(closing(door))

        yield start


@pytest.fixture
def door(open_door: OpenDoor) -> Door:
    return open_door()
