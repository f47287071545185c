"""Models: the catalogue over the wire, in the shape of whoever is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.profiles.price import Price
from fakeai_proxy.services import claude, tuned
from fakeai_proxy.services.catalogue import FINE_TUNED, ModelCard
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Key, Missing, Row

Shape = dict[str, object]

_PAGE_ROWS = 1000


def _shape(card: ModelCard) -> Shape:
    if card.max_model_len:
        return _self_hosted(card)
    return {
        "id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by,
    }  # fmt: skip


def _self_hosted(card: ModelCard) -> Shape:
    """With vLLM's own fields."""
    permission = {
        "id": "modelperm-"
        + blake2b(card.id.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        "object": "model_permission",
        "created": card.created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by,
        "root": card.parent or card.id, "parent": card.parent or None,
        "max_model_len": card.max_model_len or card.context_tokens, "permission": [permission],
    }  # fmt: skip


def _azure(card: ModelCard) -> Shape:
    """Azure's own fields, and the two that OpenAI's clients look for."""
    words = card.kind == "chat"
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "created_at": card.created,
        "owned_by": card.owned_by,
        "status": "succeeded",
        "capabilities": {
            "fine_tune": card.can("fine_tuning"),
            "inference": True,
            "completion": card.kind == "completion",
            "chat_completion": words,
            "embeddings": card.kind == "embedding",
        },
        "lifecycle_status": "deprecating" if card.retires_at else "generally-available",
        "deprecation": {"inference": _epoch_s(card.retires_at)} if card.retires_at else {},
    }


def _epoch_s(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


_SHAPES: Mapping[str, Callable[[ModelCard], Shape]] = {
    "anthropic": claude.shape, "azure": _azure, "vllm": _self_hosted, "vllm-old": _self_hosted,
}  # fmt: skip


async def list_models(call: Call) -> Reply:
    if call.vendor == "anthropic":
        return json_reply(claude.models_page(claude.listed(call.catalogue), call.query))
    shape = _SHAPES.get(call.vendor, _shape)
    cards = [*call.catalogue, *[card async for card in _own(call)]]
    return json_reply({"object": "list", "data": [shape(card) for card in cards]})


async def _own(call: Call) -> AsyncIterator[ModelCard]:
    """The models that the caller's project has made, the oldest first."""
    after = ""
    while True:
        page = await call.store.page(
            tuned.KIND, call.project, after=after, limit=_PAGE_ROWS, ascending=True
        )
        for row in page.rows:
            card = tuned.card_of(row, call.catalogue)
            if card is not None:
                yield card
        if not page.has_more:
            return
        after = page.rows[-1].key.id


async def retrieve_model(call: Call) -> Reply:
    return json_reply(_SHAPES.get(call.vendor, _shape)(await _card(call)))


async def retrieve_capabilities(call: Call) -> Reply:
    return json_reply(capabilities(await _card(call)))


async def delete_model(call: Call) -> Reply:
    name = call.params["model"]
    own = await _made(call, name)
    if own is None:
        call.catalogue.delete(name)
    else:
        with suppress(Missing):  # two who delete have both deleted
            await call.store.commit(*[Delete(key) async for key in _everywhere(call, own)])
    return json_reply({"id": name, "object": "model", "deleted": True})


async def _everywhere(call: Call, model: Row) -> AsyncIterator[Key]:
    """The model, and where it was made, what other projects have of it."""
    if "made" in model.tags:
        shared = await call.store.page(
            tuned.KIND, None, tags={"name": model.key.id}, limit=_PAGE_ROWS
        )
        for row in shared.rows:
            yield row.key
    else:
        yield model.key


async def _made(call: Call, name: str) -> Row | None:
    if not name.startswith(FINE_TUNED) or call.catalogue.holds(name):
        return None
    return await call.store.get(tuned.model_key(call.project, name))


async def _card(call: Call) -> ModelCard:
    name = call.params["model"]
    own = await _made(call, name)
    card = None if own is None else tuned.card_of(own, call.catalogue)
    card = card or call.catalogue.find(name)
    if card is None:
        raise errors.model_unknown(name)
    return card


def capabilities(card: ModelCard) -> Shape:
    """All that the registry has of a model. Prices are US dollars, null where they are unknown."""
    return {
        "id": card.id,
        "object": "model.capabilities",
        "kind": card.kind,
        "vendor": card.vendor or None,
        "owned_by": card.owned_by,
        "snapshot": card.snapshot or None,
        "parent": card.parent or None,
        "context_window": card.context_tokens,
        "max_output_tokens": card.output_tokens_max,
        "input_modalities": card.every_input,
        "output_modalities": card.every_output,
        "supports_vision": card.takes("image"),
        "supports_audio": card.takes("audio") or card.gives("audio"),
        "supports_tools": card.can("tools"),
        "supports_reasoning": card.reasoning or bool(card.efforts),
        "reasoning_efforts": list(card.efforts),
        "abilities": card.can_do,
        "embedding_dimensions": card.dimensions or None,
        "training_cutoff": card.cut_off or None,
        "deprecated_at": card.deprecated_at,
        "retires_at": card.retires_at,
        "pricing": None if card.price is None else pricing(card.price),
        "source": card.source or None,
    }


def pricing(price: Price) -> Shape:
    """The three that clients know, then whatever else is priced, under the names of the catalogue."""
    cached = price.cached_input
    more = price.model_dump(
        mode="json", exclude_none=True, exclude={"input", "output", "cached_input"}
    )
    return {
        "currency": "usd",
        "input_per_million": float(price.input),
        "output_per_million": float(price.output),
        "cached_input_per_million": None if cached is None else float(cached),
        **{name: _numbers(value) for name, value in more.items() if value != {}},
    }


def _numbers(value: object) -> object:
    """Decimals leave pydantic as text."""
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    return float(value) if isinstance(value, str) else value


OPERATIONS = (
    Operation("listModels", "GET", "/models", list_models),
    Operation(
        "retrieveModelCapabilities", "GET", "/models/{model:path}/capabilities",
        retrieve_capabilities,
    ),
    Operation("retrieveModel", "GET", "/models/{model:path}", retrieve_model),
    Operation("deleteModel", "DELETE", "/models/{model:path}", delete_model),
)  # fmt: skip
