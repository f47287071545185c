"""What is particular to the Claude models, and how their vendor lists models.

Sources: platform.claude.com/docs/en/models (context, dates, thinking), its errors page (prefill,
sampling), its guide to prompt caching (the shortest prefix that is kept), 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import ModelCard

OWNER = "anthropic"


@dataclass(frozen=True, slots=True)
class Traits:
    """`manual` thinking has a budget; `adaptive` is as long as the model finds fit, `by_default` where
    nothing is asked; it cannot be forbidden where not `quiet`, and is hidden where `omitted` unless
    asked for. `sampling`: temperature and its like are accepted; `prefill`: an answer may be begun
    by the client; `forced`: a tool may be forced. Prefixes shorter than `cached_tokens_min` are not
    cached."""

    manual: bool = True
    adaptive: bool = True
    between_tools: bool = False
    by_default: bool = False
    quiet: bool = True
    omitted: bool = False
    sampling: bool = True
    prefill: bool = True
    forced: bool = True
    effort: str = "high"
    cached_tokens_min: int = 1024


#: Models of others take whatever there is.
_OTHERS = Traits()
_CLAUDE_4_5 = Traits(adaptive=False, cached_tokens_min=4096)
_CLAUDE_4_7 = Traits(manual=False, omitted=True, sampling=False, prefill=False)
_CLAUDE_5 = replace(_CLAUDE_4_7, by_default=True)
_ALWAYS = replace(_CLAUDE_5, quiet=False)
_CLAUDE_5_5 = replace(_CLAUDE_5, cached_tokens_min=512)
#: The first that matches a name.
_TRAITS = (
    (
        re.compile(r"claude-opus-5-5"),
        replace(_CLAUDE_5_5, quiet=False, forced=False, effort="medium"),
    ),
    (
        re.compile(r"claude-sonnet-5-5"),
        replace(_CLAUDE_5_5, quiet=False, between_tools=True, forced=False),
    ),
    (re.compile(r"claude-haiku-5-5"), replace(_CLAUDE_5_5, effort="medium")),
    (re.compile(r"claude-(?:fable|mythos)-5-\d"), replace(_ALWAYS, forced=False)),
    (re.compile(r"claude-(?:fable|mythos)"), _ALWAYS),
    (re.compile(r"claude-[a-z]+-5"), _CLAUDE_5),
    (re.compile(r"claude-opus-4-[78]"), replace(_CLAUDE_4_7, cached_tokens_min=4096)),
    (re.compile(r"claude-opus-4-6"), Traits(prefill=False, cached_tokens_min=4096)),
    (re.compile(r"claude-sonnet-4-6"), Traits(prefill=False)),
    (re.compile(r"claude-(?:opus|haiku)-4-5"), _CLAUDE_4_5),
    (re.compile(r"claude-"), replace(_CLAUDE_4_5, cached_tokens_min=1024)),
)


@lru_cache(maxsize=1024)
def traits_of(model: str) -> Traits:
    return next((traits for name, traits in _TRAITS if name.match(model)), _OTHERS)


# --- the list of models ---------------------------------------------------------------------------

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_PAGE, _PAGE_MAX = 20, 1000


def listed(cards: Iterable[ModelCard]) -> list[ModelCard]:
    """Anthropic's own, those that were added by name and those of a fleet, newest first."""
    mine = [
        card for card in cards
        if card.kind == "chat" and (card.owned_by in (OWNER, "fakeai-proxy") or card.max_model_len)
    ]  # fmt: skip
    return sorted(mine, key=lambda card: -card.created)


class Page(NamedTuple):
    ids: list[str]
    has_more: bool

    def of(self, data: list[dict[str, object]]) -> dict[str, object]:
        return {
            "data": data,
            "has_more": self.has_more,
            "first_id": self.ids[0] if self.ids else None,
            "last_id": self.ids[-1] if self.ids else None,
        }


def page(query: Mapping[str, str], ids: Sequence[str], what: str) -> Page:
    """One page: after `after_id`, or before `before_id`, at most `limit`. `what` the list is of.
    Raises 400."""
    limit = limit_of(query.get("limit"))
    start, end = 0, len(ids)
    for name in ("after_id", "before_id"):
        if query.get(name) and query[name] not in ids:
            raise errors.bad_request(f"{name}: '{query[name][:100]}' is not {what} of this list")
    if query.get("after_id"):
        start = ids.index(query["after_id"]) + 1
    if query.get("before_id"):
        end = ids.index(query["before_id"])
        start = max(start, end - limit)
    found = list(ids[start:end][:limit])
    return Page(found, start > 0 if query.get("before_id") else start + len(found) < end)


def models_page(cards: list[ModelCard], query: Mapping[str, str]) -> dict[str, object]:
    """Raises 400."""
    cut = page(query, [card.id for card in cards], "a model")
    by_id = {card.id: card for card in cards}
    return cut.of([shape(by_id[name]) for name in cut.ids])


def limit_of(text: str | None) -> int:
    """Raises 400."""
    if text is None:
        return _PAGE
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise errors.bad_request(
            "limit: Input should be a valid integer, unable to parse string as an integer"
        )
    limit = int(text)
    if not 1 <= limit <= _PAGE_MAX:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {_PAGE_MAX}"
        raise errors.bad_request(f"limit: Input should be {bound}")
    return limit


def shape(card: ModelCard) -> dict[str, object]:
    line = next(
        (line for line in _LINES if card.id.startswith("claude-") and line in card.id), None
    )
    return {
        "type": "model",
        "id": card.id,
        "display_name": display_name(card.id),
        "created_at": datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "deprecated" if card.retires_at else "active",
        "line": line,
        "deprecated_at": _midnight(card.deprecated_at),
        "retires_at": _midnight(card.retires_at),
        "max_input_tokens": card.context_tokens,
        "max_tokens": card.output_tokens_max,
        "capabilities": _capabilities(traits_of(card.id)),
    }


def _midnight(day: date | None) -> str | None:
    return None if day is None else f"{day}T00:00:00Z"


def display_name(model: str) -> str:
    """`claude-opus-4-6` -> Claude Opus 4.6; names of others are as they are."""
    match = re.fullmatch(r"claude-([a-z]+)-(\d+)(?:-(\d))?(?:-\d{8})?", model)
    if match is None:
        return model
    line, major, minor = match.groups()
    return f"Claude {line.capitalize()} {major}{f'.{minor}' if minor else ''}"


def _capabilities(traits: Traits) -> dict[str, object]:
    """What this server does of it. Efforts above the usual came with adaptive thinking."""
    yes, no = {"supported": True}, {"supported": False}

    def told(able: bool) -> dict[str, bool]:
        return yes if able else no

    thinks = traits.adaptive
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": yes,
        "context_management": {"supported": False, "clear_thinking_20251015": None,
                               "clear_tool_uses_20250919": None, "compact_20260112": None},
        "effort": {"supported": thinks, "low": told(thinks), "medium": told(thinks),
                   "high": told(thinks), "xhigh": told(thinks), "max": told(thinks)},
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
        "structured_outputs": yes,
        "thinking": {"supported": True, "types": {
            "adaptive": told(traits.adaptive), "between_tools": told(traits.between_tools),
            "disabled": told(traits.quiet), "enabled": told(traits.manual)}},
    }  # fmt: skip
