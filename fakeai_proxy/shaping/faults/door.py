"""Faults before a request is known: what is done to the socket is the front door's business."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fakeai_proxy.shaping.faults.kinds import Fault, Params


class Nothing(Params):
    pass


class ConnectHang(Params):
    s: float = Field(30, gt=0, description="Seconds until the connection is reset.")


class TlsFailure(Params):
    how: Literal["alert", "reset", "plain", "untrusted", "expired", "wrong_host"] = Field(
        "alert",
        description="A fatal alert, a reset within the handshake, an answer that is no TLS, or a "
        "certificate that nobody trusts, that has expired, or that is for another host.",
    )


FAULTS = (
    Fault("connect_refused", "Resets the connection as soon as it is made; a proxy's client hears 502",
          Nothing, "connect_refused:host=api.openai.com,p=0.1", at_door=True),
    Fault("connect_hang", "Takes the connection and says nothing", ConnectHang, "connect_hang:s=20",
          at_door=True),
    Fault("tls_failure", "The TLS handshake fails", TlsFailure,
          "tls_failure:how=expired,host=api.anthropic.com", at_door=True),
)  # fmt: skip
