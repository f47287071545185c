"""Lines about what goes wrong: which exchange they are about, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from fakeai_proxy.exchange import current_id
from fakeai_proxy.observe import diagnostics


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """What is set up here goes at the end."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def said(log_format: str, exchange: str, *there: logging.Handler) -> str:
    """Where logging has the handlers that are `there`, and not those of the tests."""
    logging.getLogger().handlers[:] = there
    out = io.StringIO()
    diagnostics.set_up(out, "json" if log_format == "json" else "human")
    token = current_id.set(exchange)
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logging.getLogger("fakeai_proxy").exception("%s failed", "POST /v1/chat")
    finally:
        current_id.reset(token)
    return out.getvalue()


def test_programs_get_one_object_a_line(root: logging.Logger) -> None:
    (line,) = said("json", "req_1").splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["id"]) == ("log", "error", "req_1")
    assert told["message"] == "POST /v1/chat failed"
    assert "ValueError: of two\nlines" in told["exception"]


def test_people_read_the_id_behind_the_message(root: logging.Logger) -> None:
    first, *others = said("human", "req_1").splitlines()
    assert first.endswith("ERROR POST /v1/chat failed (req_1)")
    assert others[0].startswith("Traceback")


def test_what_belongs_to_no_exchange_has_no_id(root: logging.Logger) -> None:
    assert "id" not in json.loads(said("json", ""))


def test_logging_that_is_set_up_already_stays(root: logging.Logger) -> None:
    assert said("json", "req_1", logging.NullHandler()) == ""
