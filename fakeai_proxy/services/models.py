"""Models: the catalogue over the wire, in the shape of whoever is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.profiles.price import Price
from fakeai_proxy.services import claude
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply

Shape = dict[str, object]


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


def list_models(call: Call) -> Reply:
    if call.vendor == "anthropic":
        return json_reply(claude.models_page(claude.listed(call.catalogue), call.query))
    shape = _SHAPES.get(call.vendor, _shape)
    return json_reply({"object": "list", "data": [shape(card) for card in call.catalogue]})


def retrieve_model(call: Call) -> Reply:
    return json_reply(_SHAPES.get(call.vendor, _shape)(_card(call)))


def retrieve_capabilities(call: Call) -> Reply:
    return json_reply(capabilities(_card(call)))


def delete_model(call: Call) -> Reply:
    name = call.params["model"]
    call.catalogue.delete(name)
    return json_reply({"id": name, "object": "model", "deleted": True})


def _card(call: Call) -> ModelCard:
    name = call.params["model"]
    card = call.catalogue.find(name)
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
