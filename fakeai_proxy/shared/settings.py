"""How many processes serve, and what replicas on several machines have in common."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_SCHEMES = ("redis", "rediss", "unix")


class SharedSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that serve, on one port and with one state: files, limits, faults, "
        "metrics and what the control API sets are those of all. Each simulates its share of the "
        "fleet, which needs that many workers in each pool.",
    )
    redis: SecretStr | None = Field(
        None,
        description="Redis or Valkey that replicas on any number of machines share, as "
        "redis://USER:PASSWORD@HOST:PORT/DB or rediss://: rate limits are counted there for all of "
        "them, what the control API sets holds for all, and they hand each other work on jobs. Needs "
        "the extra `scale`.",
    )

    @field_validator("redis")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        """What is wrong is said without the password."""
        if value is None:
            return None
        try:
            parts = urlsplit(value.get_secret_value())
            known = parts.scheme in _SCHEMES and bool(parts.hostname or parts.path)
            known = known and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known:
            raise ValueError("this is redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix://PATH.")
        return value
