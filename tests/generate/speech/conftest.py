"""An install without the extra `audio`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.plain_install import plain_install


@pytest.fixture
def bare() -> Iterator[None]:
    with plain_install():
        yield
