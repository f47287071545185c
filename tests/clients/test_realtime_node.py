"""A page's own WebSocket, which cannot set headers: Node has the same."""

from __future__ import annotations

import json
import subprocess

from tests.clients.conftest import Node
from tests.services.threaded import threaded_app

PROGRAM = """
const socket = new WebSocket(process.argv[1] + "/v1/realtime?model=gpt-realtime",
  ["realtime", "openai-insecure-api-key.sk-test"]);
const send = (event) => socket.send(JSON.stringify(event));
let said = "";
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "session.created") {
    send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
    send({ type: "conversation.item.create", item: { type: "message", role: "user",
      content: [{ type: "input_text", text: "Tell me about owls." }] } });
    send({ type: "response.create" });
  } else if (event.type === "response.output_text.delta") {
    said += event.delta;
  } else if (event.type === "response.done") {
    const whole = event.response.output[0].content[0].text;
    console.log(JSON.stringify({ said, whole, protocol: socket.protocol }));
    socket.close();
  }
};
socket.onclose = ({ code, wasClean }) => console.log(JSON.stringify({ code, wasClean }));
"""


def test_a_page_speaks_with_the_model(node: Node) -> None:
    with threaded_app() as url:
        ran = subprocess.run(
            [node.node, "-e", PROGRAM, url.replace("http", "ws", 1)],
            capture_output=True, check=True, text=True, timeout=60,
        )  # fmt: skip
    told, closed = [json.loads(line) for line in ran.stdout.splitlines()]
    assert told["said"] == told["whole"] != ""
    assert told["protocol"] == "realtime"
    assert closed["wasClean"]
