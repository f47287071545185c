"""The models that are served by name: what `/v1/models` lists and what each of them can do."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.profiles import shipped


class CatalogueSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: tuple[str, ...] = Field(
        (), description="Serve this name too, like a chat model; may be repeated."
    )
    any_model: bool = Field(False, description="Serve whatever model name is asked for.")


class ModelCard(BaseModel):
    """One model. Token counts are limits; `vocabulary` names its BPE."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str
    kind: Literal["chat", "embedding"] = "chat"
    owned_by: str = "fakeai-proxy"
    created: int = 1_735_689_600
    context_tokens: int = 128_000
    output_tokens_max: int = 16_384
    vocabulary: str = "o200k_base"
    dimensions: int = 0
    #: Whether `dimensions` may be shortened on request.
    shortens: bool = False


class Catalogue:
    def __init__(self, settings: CatalogueSettings, cards: Iterable[ModelCard]) -> None:
        self._cards = {card.id: card for card in cards}
        for name in settings.model:
            self._cards.setdefault(name, ModelCard(id=name))
        self._any = settings.any_model

    @classmethod
    def shipped(cls, settings: CatalogueSettings) -> Catalogue:
        text = (shipped("profiles") / "catalogue.toml").read_text("utf-8")
        return cls(
            settings, (ModelCard.model_validate(row) for row in tomllib.loads(text)["model"])
        )

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def find(self, name: str) -> ModelCard | None:
        """The card of that name; of any name where any is served."""
        card = self._cards.get(name)
        if card is None and self._any and name:
            kind: Literal["chat", "embedding"] = "embedding" if "embed" in name else "chat"
            return ModelCard(id=name, kind=kind, dimensions=1536 if kind == "embedding" else 0,
                             shortens=True)  # fmt: skip
        return card

    def require(self, name: str, kind: str) -> ModelCard:
        """The card, for a call that needs that kind. Raises 404 as the vendor does."""
        card = self.find(name)
        if card is None:
            raise errors.model_not_found(name, self._nearest(name))
        if card.kind != kind:
            raise errors.wrong_kind_of_model(name, card.kind)
        return card

    def _nearest(self, name: str) -> list[str]:
        return difflib.get_close_matches(name, self._cards, 3, 0.4)
