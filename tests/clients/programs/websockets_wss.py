"""websockets: one connection that carries text, a large binary message and a close code."""

from __future__ import annotations

import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

LARGE = bytes(range(256)) * 8192
with connect(
    "wss://api.openai.com/v1/realtime?model=gpt-realtime",
    additional_headers={"Authorization": "Bearer sk-test"},
    subprotocols=["realtime"],
    max_size=None,
) as socket:
    protocol = socket.subprotocol
    socket.send("hello")
    text = socket.recv(30)
    socket.send(LARGE)
    same = socket.recv(30) == LARGE
    socket.send("close with 4001")
    try:
        socket.recv(30)
    except ConnectionClosed as closed:
        code = closed.rcvd.code
print(json.dumps({"protocol": protocol, "text": text, "same": same, "close_code": code}))
