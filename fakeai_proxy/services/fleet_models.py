"""The models of a fleet as cards of the catalogue: under its pools' names, with their limits."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy import errors
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.model_files import cards_in
from fakeai_proxy.services.catalogue import CatalogueSettings, ModelCard

_WILD = frozenset("*?[")
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm", "dynamo": "nvidia"}


def fleet_cards(profile: FleetProfile) -> list[ModelCard]:
    """One for each name that a pool serves, adapters included. Names on hubs count where the pool
    answers to them; those of a pattern alone are for the catalogue's other models."""
    cards: dict[str, ModelCard] = {}
    for pool in profile.pool:
        for card in _cards(profile, pool):
            cards.setdefault(card.id, card)
    return list(cards.values())


def _cards(profile: FleetProfile, pool: Pool) -> Iterator[ModelCard]:
    model = load_model(pool.model)
    limit = pool.max_model_len or model.context_tokens
    base = ModelCard(
        id=model.name,
        owned_by=_OWNERS[profile.server],
        context_tokens=limit,
        output_tokens_max=limit,
        vocabulary=model.vocabulary,
        max_model_len=limit,
    )
    spelled = [name for name in pool.serves if not _WILD & set(name)]
    aliases = [name for name in model.aliases if "/" in name and pool.answers(name)]
    for name in dict.fromkeys((pool.model, *spelled, *aliases)):
        yield base.model_copy(update={"id": name})
    for name in pool.lora:
        yield base.model_copy(update={"id": name, "parent": pool.model})


def served(
    profile: FleetProfile, settings: CatalogueSettings, cards: list[ModelCard]
) -> list[ModelCard]:
    """The fleet's own models, then those of `cards` that a pool answers to. Raises ConfigError
    where a name that was asked for has no pool."""
    added = [card.id for card in cards_in(settings.models, cards)]
    for name in (*settings.model, *added):
        if not profile.pools_for(name):
            setting = "model" if name in settings.model else "models"
            raise errors.ConfigError(
                f"{setting}: no pool of the fleet {profile.name} answers to '{name}'. Put it among "
                "the `serves` of one."
            )
    own = fleet_cards(profile)
    described = {card.id: card for card in cards}
    own = [_as_described(card, described.get(card.id)) for card in own]
    names = {card.id for card in own}
    others = [card for card in cards if card.id not in names and profile.pools_for(card.id)]
    return own + others


#: What a fleet's profile does not say of its models.
_DESCRIBED = (
    "vendor", "created", "reasoning", "efforts", "inputs", "outputs", "abilities", "lacks", "cut_off",
    "price", "source",
)  # fmt: skip


def _as_described(card: ModelCard, known: ModelCard | None) -> ModelCard:
    """The fleet's card with what the catalogue has of a model of that name."""
    if known is None:
        return card
    return card.model_copy(update={name: getattr(known, name) for name in _DESCRIBED})
