"""The models of a fleet in the catalogue: under which names, and with which limits."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import load_fleet
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings
from fakeai_proxy.services.fleet_models import fleet_cards
from tests.conftest import Serve, serving
from tests.doubles.fleets import toml

HEADERS = {"authorization": "Bearer sk-test"}


async def test_a_fleets_models_are_listed_with_their_context(serve: Serve, tmp_path: Path) -> None:
    profile = toml(tmp_path, max_model_len=9000, serves='["house-model"]', lora='["tuned"]')
    app = await serve(profile=profile)
    async with httpx.AsyncClient(base_url=app.url, headers=HEADERS) as client:
        listed = {row["id"]: row for row in (await client.get("/v1/models")).json()["data"]}
        body = {"model": "house-model", "messages": [{"role": "user", "content": "x " * 9000}]}
        long = await client.post("/v1/chat/completions", json=body)
        unknown = await client.post("/v1/chat/completions", json={**body, "model": "gpt-4o"})
    assert set(listed) == {"llama-3.1-8b", "house-model", "tuned"}
    assert listed["house-model"]["max_model_len"] == 9000
    assert listed["tuned"]["parent"] == "llama-3.1-8b"
    assert long.status_code == 400
    assert "9000" in long.json()["error"]["message"]
    assert unknown.status_code == 404
    for name in ("house-model", "tuned", "llama-3.1-8b"):
        assert name in unknown.json()["error"]["message"]


async def test_a_fleet_for_all_names_serves_the_usual_ones_too(serve: Serve) -> None:
    app = await serve(profile="quick")
    async with httpx.AsyncClient(base_url=app.url, headers=HEADERS) as client:
        names = [row["id"] for row in (await client.get("/v1/models")).json()["data"]]
        hosted = (await client.get("/v1/models/gpt-4o")).json()
    assert names[0] == "llama-3.1-8b"
    assert {"gpt-4o", "text-embedding-3-small", "meta-llama/Llama-3.1-8B-Instruct"} <= set(names)
    assert len(names) == len(set(names))
    assert "max_model_len" not in hosted


async def test_a_name_that_no_pool_serves_is_refused_at_the_start(tmp_path: Path) -> None:
    profile = toml(tmp_path, serves='["house-*"]')
    with pytest.raises(ConfigError, match="other-model"):
        async with serving(profile=profile, model=("other-model",)):
            pass
    async with serving(profile=profile, model=("house-model",)) as app:
        assert app.fleet is not None
    own = tmp_path / "models.toml"
    own.write_text('[[model]]\nid = "third-model"\n')
    with pytest.raises(ConfigError, match=r"models: no pool .* answers to 'third-model'"):
        async with serving(profile=profile, models=(own,)):
            pass


def test_a_mixed_fleet_names_each_model_once() -> None:
    cards = fleet_cards(load_fleet("mixed"))
    names = [card.id for card in cards]
    assert len(names) == len(set(names))
    assert {"llama-3.3-70b", "gpt-oss-120b", "llama-3.1-8b", "support-tone"} <= set(names)
    assert {card.id: card.parent for card in cards}["sql-writer"] == "llama-3.1-8b"


def test_a_fleet_that_is_named_is_ready_for_its_own_models() -> None:
    named = Catalogue.shipped(CatalogueSettings(), load_fleet("1xh100-8b"))
    assert named.usual_vocabulary(of_fleet=True) == "llama3"
    assert named.usual_vocabulary(of_fleet=False) == "o200k_base"
    hosted = Catalogue.shipped(CatalogueSettings())
    assert hosted.usual_vocabulary(of_fleet=True) == "o200k_base"
