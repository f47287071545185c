"""Schemas that stand in prompts, and the tools that a prompt wants after others have answered."""

from __future__ import annotations

import json

import pytest

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.shown_schema import shown_instance, shown_schema
from fakeai_proxy.generate.wanted_tools import Offer, wanted
from fakeai_proxy.services.answer.tool import Tool
from fakeai_proxy.services.answer.tool import wanted as wanted_tools

POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
ASK = Hints("What is the weather in Paris?")


@pytest.mark.parametrize("indent", [None, 2])
def test_a_schema_is_found_among_other_braces(indent: int | None) -> None:
    shown = json.dumps(POINT, indent=indent)
    text = f'Keep {{these}} and {{"a": 1}}, then match\n```json\n{shown}\n```\nas JSON.'
    assert shown_schema(text) == POINT


@pytest.mark.parametrize(
    "text", ["", "{", '{"properties": 3}', 'the key "properties" of {' + "{" * 5000, "[" * 9000]
)
def test_a_text_without_one_has_none(text: str) -> None:
    assert shown_schema(text) is None


def test_an_instance_follows_the_instructions_before_the_prompt() -> None:
    rng = Dice(1).roll("shown")
    value = shown_instance(rng, Hints("a point as JSON", json.dumps(POINT)))
    assert isinstance(value["x"], int)
    assert shown_instance(rng, Hints("a point as JSON")) is None


def test_a_schema_that_nothing_satisfies_is_passed_over() -> None:
    never = {"type": "object", "properties": {"x": {"enum": []}}, "required": ["x"]}
    rng = Dice(1).roll("never")
    assert shown_instance(rng, Hints(json.dumps(POINT), json.dumps(never)))["x"] is not None


def test_an_agent_is_handed_what_the_instructions_say() -> None:
    offers = [Offer("transfer_to_cook", "Handoff"), Offer("transfer_to_forecaster", "Handoff")]
    told = "You are a porter. Send the weather to the forecaster. Send meals to the cook."
    assert wanted(offers, Hints(ASK.prompt, told)) == [1]
    assert wanted(offers, ASK) == []
    assert wanted(offers, Hints("Tell me a joke", told)) == []


def test_where_a_tool_is_required_one_that_has_not_answered_comes_first() -> None:
    weather, last = Tool("get_weather", "The weather in a city"), Tool("final_result")
    offered = [weather, last]
    assert wanted_tools(offered, ASK, required=True) == [weather]
    assert wanted_tools(offered, ASK, required=True, called={"get_weather"}) == [last]
    assert wanted_tools([weather], ASK, required=True, called={"get_weather"}) == [weather]
    assert wanted_tools(offered, ASK, called={"get_weather"}) == []
