"""Which of the offered tools a prompt asks for."""

from __future__ import annotations

import pytest

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import Offer, wanted

OFFERED = [Offer("send_mail"), Offer("news_search"), Offer("get_forecasts")]


@pytest.mark.parametrize(
    ("prompt", "places"),
    [("What is the news on tea?", [1]), ("Tomorrow's forecast", [2]), ("Something new", [])],
)
def test_news_is_no_plural_of_new(prompt: str, places: list[int]) -> None:
    assert wanted(OFFERED, Hints(prompt)) == places
