"""What a client is asked to do on its own machine: look at a screen, run a command, write a file.

Whatever the prompt says, nothing is asked for that could harm that machine: commands only look, clicks
follow a screenshot, and a patch creates a file of an unusual name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.text import sentence
from fakeai_proxy.generate.tokens import EMPTY, Tokens
from fakeai_proxy.services.items.history import Item, answers
from fakeai_proxy.services.responses import tools
from fakeai_proxy.services.responses.output import Work

_COMMANDS = ("ls -la", "pwd", "git status", "uname -a")
_TIMEOUT_MS, _OUTPUT_CHARS = 10_000, 4096
#: Where no size of the screen is said, in pixels.
_SCREEN = (1024, 768)


def computer(
    tool: tools.Computer | tools.ComputerPreview, tokens: Tokens, rng: Random, items: Sequence[Item]
) -> Work:
    """A screenshot first, then a click."""
    action: dict[str, Any] = {"type": "screenshot"}
    if answers(items):
        width, height = _SCREEN
        if isinstance(tool, tools.ComputerPreview):
            width, height = tool.display_width, tool.display_height
        spot = {"x": rng.randrange(width), "y": rng.randrange(height)}
        action = {"type": "click", "button": "left", **spot}
    asked: dict[str, Any] = {"action": action}
    if isinstance(tool, tools.Computer):
        asked = {"actions": [action]}
    fields = {**asked, "pending_safety_checks": []}
    passage = tokens.passage(orjson.dumps(action).decode())
    return Work("computer_call", "cu", passage, fields, fields, called=True, waits=True)


def local_shell(tokens: Tokens, rng: Random) -> Work:
    command = rng.choice(_COMMANDS)
    action = {
        "type": "exec", "command": command.split(), "env": {}, "timeout_ms": _TIMEOUT_MS,
        "user": None, "working_directory": None,
    }  # fmt: skip
    passage = tokens.passage(command)
    fields = {"action": action}
    return Work("local_shell_call", "lsh", passage, fields, fields, called=True, waits=True)


def shell(tool: tools.Shell, tokens: Tokens, rng: Random, hints: Hints) -> list[Work]:
    """The call, and in a container what came of it."""
    if not tool.is_hosted:
        command = rng.choice(_COMMANDS)
        return [_shell_call(tokens, command, {"type": "local"}, waits=True)]
    environment = tool.environment
    assert environment is not None
    container = environment.container_id or f"cntr_{rng.getrandbits(160):040x}"
    place = {"type": "container_reference", "container_id": container}
    stdout = f"{_slug(hints)}.md\n"
    output = [{"stdout": stdout, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    result = {"output": output, "max_output_length": _OUTPUT_CHARS}
    return [
        _shell_call(tokens, "ls /mnt/data", place, waits=False),
        Work("shell_call_output", "sho", EMPTY, result, {**result, "output": []}, answers=True),
    ]


def _shell_call(tokens: Tokens, command: str, place: dict[str, Any], *, waits: bool) -> Work:
    limits = {"max_output_length": _OUTPUT_CHARS, "timeout_ms": _TIMEOUT_MS}
    fields = {"action": {"commands": [command], **limits}, "environment": place}
    opening = {**fields, "action": {"commands": [], **limits}}
    passage = tokens.passage(command)
    return Work("shell_call", "sh", passage, fields, opening, called=True, waits=waits)


def apply_patch(tokens: Tokens, rng: Random, hints: Hints) -> Work:
    title = (hints.subject or "notes").capitalize()
    lines = [f"# {title}", "", sentence(rng, hints.subject)]
    diff = "\n".join([f"+{line}" for line in lines]) + "\n"
    path = f"{_slug(hints)}-{rng.getrandbits(32):08x}.md"
    fields = {"operation": {"type": "create_file", "path": path, "diff": diff}}
    opening = {"operation": {"type": "create_file", "path": path, "diff": ""}}
    passage = tokens.passage(diff)
    return Work("apply_patch_call", "apc", passage, fields, opening, called=True, waits=True)


def _slug(hints: Hints) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", hints.subject.lower())) or "notes"
