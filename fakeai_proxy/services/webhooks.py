"""Webhooks: whoever wants to know hears that a job has ended, signed and at least once.

`announce` makes rows that go into the commit which ends the job; each is work of its own
(`services/delivery.py`). Signed as Standard Webhooks has it (standardwebhooks.com, version 1).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from fakeai_proxy.dice import Dice
from fakeai_proxy.store import Insert, Key, Row

KIND = "webhook"
PREFIX = "whsec_"
EventType = Literal[
    "batch.completed", "batch.failed", "batch.expired", "batch.cancelled",
    "fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled",
    "response.completed", "response.failed", "response.cancelled", "response.incomplete",
    "eval.run.succeeded", "eval.run.failed", "eval.run.canceled",
]  # fmt: skip


class WebhookSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    webhook: tuple[str, ...] = Field(
        (),
        description="Tell this URL, too, when a batch, a fine-tuning job, a background response or an "
        "eval run ends, as the vendor's webhooks do.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="What webhooks are signed with: whsec_ and base64, as the vendor's are. It is never "
        "shown.",
    )

    @field_validator("webhook")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("must be a URL such as https://app.example/hooks")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            key_of(value.get_secret_value())
        return value


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"must be {PREFIX} and a key in base64")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"must be {PREFIX} and a key in base64") from None
    if not key:
        raise ValueError("must have a key")
    return key


class Webhooks:
    """Who is told, and with what it is signed. Without a receiver nothing is ever written."""

    def __init__(self, settings: WebhookSettings) -> None:
        self.urls = settings.webhook
        secret = settings.webhook_secret
        self._key = None if secret is None else key_of(secret.get_secret_value())

    def announce(
        self, dice: Dice, project: str, kind: EventType, object_id: str, now: float
    ) -> tuple[Insert, ...]:
        """Goes into the commit that ends the object. An object ends in one way once, so that its end
        has one event, however often it is announced."""
        event_id = "evt_" + dice.text_id("webhook", project, object_id, kind, length=32)
        event = {
            "id": event_id, "object": "event", "created_at": int(now), "type": kind,
            "data": {"id": object_id},
        }  # fmt: skip
        return tuple(
            Insert(
                Row(
                    Key(KIND, f"{event_id}.{place}", project),
                    {"event": event, "url": url, "attempts": 0},
                    now,
                    due_at=now,
                )
            )
            for place, url in enumerate(self.urls)
        )

    def headers(self, event_id: str, body: bytes, now: float) -> dict[str, str]:
        """Signed anew with every attempt, since receivers refuse old ones."""
        stamp = str(int(now))
        headers = {
            "content-type": "application/json", "webhook-id": event_id, "webhook-timestamp": stamp,
        }  # fmt: skip
        if self._key is not None:
            signed = f"{event_id}.{stamp}.".encode() + body
            signature = base64.b64encode(hmac.new(self._key, signed, sha256).digest())
            headers["webhook-signature"] = "v1," + signature.decode()
        return headers


#: Where nobody wants to know.
NOBODY = Webhooks(WebhookSettings())
