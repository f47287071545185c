"""The models room and the catalogue behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
import quicktok

from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.profiles.model_files import cards_in
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings, ModelCard, shipped_cards
from tests.conftest import Serve

CARDS = shipped_cards()


async def connect(serve: Serve, **settings: object) -> openai.AsyncOpenAI:
    app = await serve(mode="synth", **settings)
    return openai.AsyncOpenAI(base_url=f"{app.url}/v1", api_key="k", max_retries=0)


async def test_every_model_is_listed_once_and_can_be_retrieved(serve: Serve) -> None:
    client = await connect(serve)
    listed = [model async for model in client.models.list()]
    names = [model.id for model in listed]
    assert len(names) == len(set(names)) == len(CARDS)
    assert {"gpt-4o", "o3-mini", "text-embedding-3-large", "Qwen/Qwen3-8B"} <= set(names)
    for name in ("gpt-4o", "meta/llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct"):
        model = await client.models.retrieve(name)
        assert (model.id, model.object) == (name, "model")
        assert model == listed[names.index(name)]


async def test_an_unknown_model_is_a_404_of_the_vendor(serve: Serve) -> None:
    client = await connect(serve)
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-99")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_azure_lists_and_retrieves_them_too(serve: Serve) -> None:
    app = await serve(mode="synth")
    azure = openai.AsyncAzureOpenAI(azure_endpoint=app.url, api_key="k", api_version="2024-10-21")
    assert len((await azure.models.list()).data) == len(CARDS)
    assert (await azure.models.retrieve("gpt-4o")).id == "gpt-4o"
    newer = openai.AsyncOpenAI(base_url=f"{app.url}/openai/v1/", api_key="k")
    assert (await newer.models.retrieve("gpt-4o")).id == "gpt-4o"


async def test_only_fine_tuned_models_can_be_deleted(serve: Serve) -> None:
    tuned = "ft:gpt-4o-mini-2024-07-18:acme::abc123"
    client = await connect(serve, model=(tuned,))
    with pytest.raises(openai.PermissionDeniedError):
        await client.models.delete("gpt-4o")
    with pytest.raises(openai.NotFoundError):
        await client.models.delete("ft:gpt-4o:acme::other")
    deleted = await client.models.delete(tuned)
    assert (deleted.id, deleted.deleted, deleted.object) == (tuned, True, "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve(tuned)
    assert tuned not in [model.id async for model in client.models.list()]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_row_of_the_catalogue_is_plausible(card: ModelCard) -> None:
    assert card.output_tokens_max <= card.context_tokens
    assert card.source
    assert card.vendor
    # Between the first of these models and the day after tomorrow, so to speak.
    assert 1_650_000_000 < card.created < 1_800_000_000
    assert card.owned_by
    assert quicktok.get_encoding(card.vocabulary).n_vocab > 50_000
    if card.kind == "embedding":
        assert card.output_tokens_max == 0
        assert 256 <= card.dimensions <= 4096
    elif card.kind in ("chat", "completion"):
        assert 2_000 <= card.context_tokens <= 11_000_000
        assert card.output_tokens_max >= 4028
    if card.kind == "rerank":
        assert card.output_tokens_max == 0


def test_no_model_is_in_the_catalogue_twice() -> None:
    names = [card.id for card in CARDS]
    assert len(names) == len(set(names))


def test_a_name_of_the_users_own_is_like_the_model_it_continues() -> None:
    settings = CatalogueSettings(
        model=("gpt-4.1-nano-2030-01-01", "ft:gpt-4o-mini:a::b", "mine", "my-embedder")
    )
    catalogue = Catalogue.shipped(settings)
    assert catalogue.require("gpt-4.1-nano-2030-01-01", "chat").context_tokens == 1_047_576
    assert catalogue.require("ft:gpt-4o-mini:a::b", "chat").output_tokens_max == 16_384
    assert catalogue.require("mine", "chat").owned_by == "fakeai-proxy"
    assert catalogue.require("my-embedder", "embedding").dimensions == 1536


@pytest.mark.parametrize(
    ("name", "kind"),
    [("my-reranker-embed", "rerank"), ("our-tts-2", "speech"), ("whisper-9", "transcription"),
     ("flux.1-dev", "image"), ("sora-9", "video"), ("x-realtime", "realtime"), ("x", "chat")],
)  # fmt: skip
def test_a_name_tells_what_it_is_for(name: str, kind: str) -> None:
    found = Catalogue.shipped(CatalogueSettings(any_model=True)).find(name)
    assert found is not None
    assert found.kind == kind


def test_any_model_serves_what_is_asked_for() -> None:
    catalogue = Catalogue.shipped(CatalogueSettings(any_model=True))
    assert catalogue.require("never-heard-of-it", "chat").id == "never-heard-of-it"
    with pytest.raises(ApiError):
        catalogue.require("", "chat")


def test_an_unknown_name_is_told_its_neighbours_and_how_to_serve_it() -> None:
    with pytest.raises(ApiError) as caught:
        Catalogue.shipped(CatalogueSettings()).require("gpt-4o-minni", "chat")
    assert caught.value.status == 404
    assert "gpt-4o-mini" in caught.value.message
    assert "--model gpt-4o-minni" in caught.value.message


@pytest.mark.parametrize(
    ("deployment", "name", "found"),
    [
        (None, "gpt-4o", "gpt-4o"),
        ("gpt-4o", None, "gpt-4o"),
        ("gpt-4o", "gpt-4", "gpt-4o"),
        ("our-production", "gpt-4", "gpt-4"),
        ("our-production", None, "DeploymentNotFound"),
        (None, None, "missing_required_parameter"),
        (None, "gpt-98", "model_not_found"),
    ],
)
def test_a_call_means_its_deployment_or_its_model(
    deployment: str | None, name: str | None, found: str
) -> None:
    catalogue = Catalogue.shipped(CatalogueSettings())
    try:
        answer = catalogue.asked_for(deployment, name, "chat").id
    except ApiError as error:
        answer = str(error.code)
    assert answer == found


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[model]]\nid = "x"\ncontext_tokens = -1\n', "utf-8")
    with pytest.raises(ConfigError, match=r"mine\.toml: model x: context_tokens"):
        cards_in([file])


async def test_a_model_tells_its_capabilities(serve: Serve) -> None:
    client = await connect(serve)
    for name in ("gpt-4o", "meta-llama/Llama-3.1-8B-Instruct", "whisper-1"):
        shown = await client.get(f"/models/{name}/capabilities", cast_to=dict[str, Any])
        card = next(card for card in CARDS if card.id == name)
        assert (shown["id"], shown["object"]) == (name, "model.capabilities")
        assert shown["context_window"] == card.context_tokens
        assert shown["supports_vision"] == card.takes("image")
        assert (shown["pricing"] is None) == (card.price is None)
    with pytest.raises(openai.NotFoundError):
        await client.get("/models/gpt-99/capabilities", cast_to=dict[str, Any])


async def test_a_server_of_ones_own_tells_more_of_its_models(serve: Serve) -> None:
    client = await connect(serve, dialect="vllm")
    model = (await client.models.retrieve("Qwen/Qwen3-8B")).model_dump()
    assert (model["root"], model["parent"], model["max_model_len"]) == (
        "Qwen/Qwen3-8B",
        None,
        40960,
    )
    assert model["permission"][0]["object"] == "model_permission"


async def test_a_model_of_another_kind_is_refused_with_the_place_to_ask_it(serve: Serve) -> None:
    client = await connect(serve)
    kinds = {card.kind: card.id for card in CARDS if card.kind != "chat"}
    assert len(kinds) == 9
    for name in kinds.values():
        with pytest.raises(openai.NotFoundError, match="Did you mean to use v1/"):
            await client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "hi"}]
            )


async def test_models_of_a_file_are_served_before_shipped_ones_of_that_name(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[model]]\nid = "gpt-4o"\nlike = "gpt-4"\ncontext_tokens = 9000\n', "utf-8")
    client = await connect(serve, models=(file,), profile="none")
    shown = await client.get("/models/gpt-4o/capabilities", cast_to=dict[str, Any])
    assert (shown["context_window"], shown["supports_vision"]) == (9000, False)
