"""What the official client raises when it is refused."""

from __future__ import annotations

from typing import Any

import openai
import pytest

#: What every error of the vendor has; some have more.
FIELDS = {"message", "type", "param", "code"}


async def refusal(asking: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of the refusal."""
    with pytest.raises(openai.APIStatusError) as caught:
        await asking
    error = caught.value.body
    assert isinstance(error, dict)
    assert set(error) >= FIELDS
    return caught.value.status_code, error


async def refused(asking: Any) -> tuple[int, str | None, str | None, str]:
    """Status, param, code and message of the refusal."""
    status, error = await refusal(asking)
    assert set(error) == FIELDS
    return status, error["param"], error["code"], error["message"]
