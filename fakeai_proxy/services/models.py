"""Models: the catalogue over the wire."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import claude
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply


def _shape(card: ModelCard) -> dict[str, object]:
    shape: dict[str, object] = {
        "id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by,
    }  # fmt: skip
    if card.max_model_len:  # a self-hosted server's own fields
        shape |= {"root": card.parent or card.id, "parent": card.parent or None}
        shape["max_model_len"] = card.max_model_len
    return shape


def list_models(call: Call) -> Reply:
    if call.vendor == "anthropic":
        return json_reply(claude.models_page(claude.listed(call.catalogue), call.query))
    return json_reply({"object": "list", "data": [_shape(card) for card in call.catalogue]})


def retrieve_model(call: Call) -> Reply:
    name = call.params["model"]
    card = call.catalogue.find(name)
    if card is None:
        raise errors.model_unknown(name)
    return json_reply(claude.shape(card) if call.vendor == "anthropic" else _shape(card))


def delete_model(call: Call) -> Reply:
    name = call.params["model"]
    call.catalogue.delete(name)
    return json_reply({"id": name, "object": "model", "deleted": True})


OPERATIONS = (
    Operation("listModels", "GET", "/models", list_models),
    Operation("retrieveModel", "GET", "/models/{model:path}", retrieve_model),
    Operation("deleteModel", "DELETE", "/models/{model:path}", delete_model),
)
