"""WebSockets in a HAR, as Chrome writes them: `_webSocketMessages` of an entry.

Chrome has texts and binary messages. Those that control the connection stand among them with their
opcodes; what its fields do not say is in fields of our own.
"""

from __future__ import annotations

import base64
import contextlib
from typing import Any

from fakeai_proxy.cassette.formats.fields import Fields
from fakeai_proxy.cassette.messages import Message, Side, instants_s
from fakeai_proxy.cassette.rfc6455 import OPCODES, Op

FIELD = "_webSocketMessages"
_TYPES: dict[Side, str] = {"client": "send", "server": "receive"}
_SENDERS = {kind: sender for sender, kind in _TYPES.items()}
_OPS: dict[int, Op] = {code: op for op, code in OPCODES.items()}
_SCHEMES = (("https://", "wss://"), ("http://", "ws://"))


def socket_url(url: str) -> str:
    """Of a WebSocket that is asked for at the URL of HTTP."""
    for plain, socket in _SCHEMES:
        if url.startswith(plain):
            return socket + url.removeprefix(plain)
    return url


def handshake_url(url: str) -> str:
    """The URL of HTTP at which a WebSocket is asked for; as it is where it is no WebSocket's."""
    for plain, socket in _SCHEMES:
        if url.lower().startswith(socket):
            return plain + url[len(socket) :]
    return url


def told(at: float, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    return [
        {
            "type": _TYPES[message.sender],
            "time": at + instant,
            "opcode": OPCODES[message.op],
            **_data(message),
            "_dt_us": message.dt_us,
            **({"_cuts": list(message.cuts)} if message.cuts else {}),
        }
        for message, instant in zip(messages, instants_s(messages), strict=True)
    ]


def _data(message: Message) -> dict[str, str]:
    if message.op == "text":
        with contextlib.suppress(UnicodeDecodeError):
            return {"data": message.data.decode("utf-8")}
        return {"data": base64.b64encode(message.data).decode(), "_encoding": "base64"}
    return {"data": base64.b64encode(message.data).decode()}


def seen(entry: Fields, at: float | None) -> tuple[list[Message], bool]:
    """The messages, and whether their times are known. Raises CassetteError."""
    found: list[Message] = []
    begun = last_s = at
    known = True
    for one in entry.objects(FIELD):
        kind, code = one.text("type"), one.integer("opcode")
        if kind not in _SENDERS or code not in _OPS:
            raise one.wrong("type", f"with opcode {code} is no message of a WebSocket")
        is_text = _OPS[code] == "text" and one.text("_encoding", "") != "base64"
        data = one.text("data").encode("utf-8", "surrogatepass") if is_text else one.base64("data")
        dt_us = 0
        if one.has("_dt_us"):
            dt_us = max(0, one.integer("_dt_us"))
        elif one.has("time") and begun is not None and last_s is not None:
            now_s = max(last_s, one.number("time"))
            dt_us, last_s = round((now_s - last_s) * 1e6), now_s
        else:
            known = False
        cuts = tuple(one.integers("_cuts")) if one.has("_cuts") else ()
        found.append(Message(_SENDERS[kind], _OPS[code], dt_us, data, cuts))
    return found, known
