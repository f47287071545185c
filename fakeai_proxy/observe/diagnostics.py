"""What goes wrong inside, as lines of a log: for people, or as JSON for programs. A line that was written for
an exchange carries its id, which the client has as `x-request-id`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal, TextIO

import orjson

from fakeai_proxy.exchange import current_id


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        name = current_id.get()
        if not name or name in line:
            return line
        first, rest = line.partition("\n")[0], line.partition("\n")[1:]
        return f"{first} ({name}){''.join(rest)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "event": "log",
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if name := current_id.get():
            told["id"] = name
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(told, default=str).decode()


def set_up(stream: TextIO, log_format: Literal["human", "json"]) -> None:
    """Nothing where somebody else has set up logging already."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _Json() if log_format == "json" else _Human("%(asctime)s %(levelname)s %(message)s")
    )
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
