"""When one wants it: pull requests are to be tested without keys. `pytest --fakeai-record=once` records what
is missing, `pytest --fakeai-strict` replays; cassettes/ is in version control.
"""

import pytest
from summarizer import headline, summarize

TEXT = "A proxy stands between two parties. Neither has to know."


@pytest.mark.cassette
def test_a_summary_is_of_the_whole_text(fakeai):
    assert summarize(TEXT)
    fakeai.calls.assert_called_once(model="gpt-4o-mini", contains="Neither has to know")


@pytest.mark.cassette
def test_a_headline_comes_piece_by_piece(fakeai):
    assert len([piece for piece in headline(TEXT) if piece]) > 3
    assert fakeai.calls[0].json["stream"] is True
