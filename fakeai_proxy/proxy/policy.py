"""Which hosts a client may reach through us, and who may ask."""

from __future__ import annotations

import base64
import binascii
import hmac
from enum import Enum

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fakeai_proxy.errors import ApiError, destination_refused
from fakeai_proxy.providers import INTERCEPTED_HOSTS, host_matches


class Verdict(Enum):
    INTERCEPT = "intercept"  # terminated here: recorded, replayed or synthesized
    TUNNEL = "tunnel"  # carried byte for byte, never looked at
    REFUSE = "refuse"


class PolicySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: tuple[str, ...] = Field(
        (), description="Intercept this host too, besides the known LLM APIs; NAME or *.SUFFIX."
    )
    allow_host: tuple[str, ...] = Field(
        (),
        description="Tunnel this host untouched: NAME, *.SUFFIX, NAME:PORT, or `any`. Everything "
        "else is refused.",
    )
    proxy_auth: SecretStr | None = Field(
        None, description="USER:PASSWORD that clients of the forward proxy must give."
    )


class Policy:
    """Ports: an intercepted host is intercepted on every port; a tunnelled one on 443 and 80 unless
    its entry names another."""

    def __init__(self, settings: PolicySettings) -> None:
        self.intercepted = (*INTERCEPTED_HOSTS, *settings.intercept)
        self._allowed = settings.allow_host
        self._credentials = settings.proxy_auth

    def verdict(self, host: str, port: int) -> Verdict:
        if any(host_matches(host, pattern) for pattern in self.intercepted):
            return Verdict.INTERCEPT
        for entry in self._allowed:
            name, colon, named_port = entry.rpartition(":")
            if colon and named_port.isdigit() and not name.endswith(":"):
                if port == int(named_port) and host_matches(host, name.strip("[]")):
                    return Verdict.TUNNEL
            elif (entry == "any" or host_matches(host, entry.strip("[]"))) and port in (80, 443):
                return Verdict.TUNNEL
        return Verdict.REFUSE

    def refusal(self, authority: str) -> ApiError:
        """The answer to a client that asks for a host that is neither intercepted nor allowed."""
        return destination_refused(
            authority,
            f"Start with --intercept {authority} to record or synthesize it, or with --allow-host "
            f"{authority} to tunnel it.",
        )

    def admits(self, proxy_authorization: bytes | None) -> bool:
        """Whether the value of a `Proxy-Authorization` header opens this proxy."""
        if self._credentials is None:
            return True
        scheme, _, encoded = (proxy_authorization or b"").partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, self._credentials.get_secret_value().encode())
