"""The models that are served by name: what `/v1/models` lists and what each of them can do."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.profiles import FleetProfile
from fakeai_proxy.profiles.model_card import Kind, ModelCard
from fakeai_proxy.profiles.model_files import cards_in, shipped_cards

__all__ = ["FINE_TUNED", "Catalogue", "CatalogueSettings", "Kind", "ModelCard", "shipped_cards"]

#: How the names of fine-tuned models begin.
FINE_TUNED = "ft:"


#: What a model is whose name has that word in it, where nothing else is known of it. The first counts.
_BY_NAME: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("rerank", {"kind": "rerank", "context_tokens": 8192, "output_tokens_max": 0}),
    (
        "embed",
        {"kind": "embedding", "context_tokens": 8192, "output_tokens_max": 0, "dimensions": 1536,
         "vocabulary": "cl100k_base", "shortens": True},
    ),
    ("moderation", {"kind": "moderation", "context_tokens": 32_768, "output_tokens_max": 0}),
    ("realtime", {"kind": "realtime", "context_tokens": 32_000, "output_tokens_max": 4096}),
    ("whisper", {"kind": "transcription"}),
    ("transcribe", {"kind": "transcription"}),
    ("tts", {"kind": "speech"}),
    *((word, {"kind": "image", "output_tokens_max": 0})
      for word in ("gpt-image", "dall-e", "stable-diffusion", "flux.1", "imagen")),
    ("sora", {"kind": "video", "output_tokens_max": 0}),
)  # fmt: skip


class CatalogueSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    model: tuple[str, ...] = Field((), description="Serve this name too, like a chat model.")
    models: tuple[Path, ...] = Field(
        (),
        description="Serve the models of this TOML file too: [[model]] tables with limits, abilities "
        "and prices, as `fakeai-proxy models show` prints them.",
    )
    any_model: bool = Field(False, description="Serve whatever model name is asked for.")


class Catalogue:
    def __init__(
        self, settings: CatalogueSettings, cards: Iterable[ModelCard], fleet: str = ""
    ) -> None:
        """`fleet` is the name of the one whose models come first among `cards`."""
        self._fleet = fleet
        self._cards = {card.id: card for card in cards}
        self._any = settings.any_model
        self._deleted: set[str] = set()
        for name in settings.model:
            if name not in self._cards:
                self._cards[name] = self._like(name)

    @classmethod
    def shipped(cls, settings: CatalogueSettings, fleet: FleetProfile | None = None) -> Catalogue:
        """Behind a fleet, the models that it serves. Raises ConfigError."""
        cards = every_card(settings)
        if fleet is None:
            return cls(settings, cards)
        from fakeai_proxy.services.fleet_models import served

        return cls(settings, served(fleet, settings, cards), fleet.name)

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(list(self._cards.values()))

    def usual_vocabulary(self, of_fleet: bool) -> str:
        """That of most models, or of most of the fleet's own where there are some."""
        cards = list(self._cards.values())
        if of_fleet:
            cards = [card for card in cards if card.max_model_len] or cards
        return Counter(card.vocabulary for card in cards).most_common(1)[0][0]

    def holds(self, name: str) -> bool:
        """Whether it has a card of that very name."""
        return name in self._cards

    def priced(self, name: str) -> ModelCard | None:
        """The card to bill by: of a user's own model, whose name says what it was made from, too."""
        card = self.find(name)
        return self._like(name) if card is None and name.startswith(FINE_TUNED) else card

    def with_card(self, card: ModelCard) -> Catalogue:
        """The same with one more, for one call."""
        made = copy(self)
        made._cards = {**self._cards, card.id: card}
        return made

    def find(self, name: str) -> ModelCard | None:
        """The card of that name; of any name where any is served."""
        card = self._cards.get(name)
        if card is None and self._any and name and name not in self._deleted:
            return self._like(name)
        return card

    def is_at_hand(self, name: object) -> bool:
        """Whether its vocabulary has been read; True for what is no model."""
        card = self.find(name) if isinstance(name, str) else None
        return card is None or card.vocabulary in Tokens.read()

    def require(self, name: str, kind: Kind) -> ModelCard:
        """The card, for a call that needs that kind. Raises 404 as the vendor does."""
        card = self.find(name)
        if card is None:
            raise errors.model_not_found(name, self.nearest(name), self._fleet, self._of_fleet())
        if not card.can(kind):
            raise errors.wrong_kind_of_model(name, card.kind)
        return card

    def asked_for(self, deployment: str | None, name: str | None, kind: Kind) -> ModelCard:
        """The card that a call means: by the deployment in an Azure path, whose body may name the
        model too, else by the `model` of the body. Raises 400 and 404."""
        if deployment is not None:
            known = self.find(deployment) or (self.find(name) if name else None)
            if known is None:
                raise errors.deployment_not_found(deployment, self.nearest(deployment))
            return self.require(known.id, kind)
        if name is None:
            raise errors.missing_parameter("model")
        if not name:
            raise errors.missing_model()
        return self.require(name, kind)

    def delete(self, name: str) -> None:
        """Only fine-tuned models are their user's to delete. Raises 403 and 404."""
        if self.find(name) is None:
            raise errors.model_unknown(name)
        if not name.startswith(FINE_TUNED):
            raise errors.model_not_deletable(name)
        self._cards.pop(name, None)
        self._deleted.add(name)

    def _like(self, name: str) -> ModelCard:
        """A card for a name that is not in the catalogue: of the model whose name it continues
        (`gpt-4o-2030-01-01`, `ft:gpt-4o-mini:acme::1`), else of an ordinary one."""
        base = name.removeprefix(FINE_TUNED)
        known = max((each for each in self._cards if base.startswith(each)), key=len, default="")
        if known and base != name:
            return self._cards[known].tuned(name)
        if known:
            return self._cards[known].model_copy(update={"id": name, "snapshot": ""})
        said = name.lower()
        values = next((values for word, values in _BY_NAME if word in said), {})
        return ModelCard.model_validate({"id": name, **values})

    def _of_fleet(self) -> list[str]:
        return [card.id for card in self._cards.values() if card.max_model_len]

    def nearest(self, name: str) -> list[str]:
        """Names like it."""
        return difflib.get_close_matches(name[:100], self._cards, 3, 0.4)


def every_card(settings: CatalogueSettings) -> list[ModelCard]:
    """Those that are shipped and those of the user's own, which go before shipped ones of the same
    name. Raises ConfigError."""
    cards = shipped_cards()
    if not settings.models:
        return cards
    own = cards_in(settings.models, cards)
    names = {card.id for card in own}
    return own + [card for card in cards if card.id not in names]
