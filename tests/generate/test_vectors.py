"""Like texts near, unlike texts far, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.generate import semantic
from fakeai_proxy.generate.concepts import stem
from fakeai_proxy.generate.embedders import embedder_kind
from fakeai_proxy.generate.vectors import Embedder

EMBEDDER = Embedder("text-embedding-3-small", 1536)
SEMANTIC = Embedder("text-embedding-3-small", 1536, "semantic")

#: Pairs with how alike a person finds them, 0 to 5.
PAIRS = [
    (5, "How do I reset my password?", "How can I reset my password?"),
    (5, "The invoice is attached to this email.", "Attached to this mail is the invoice."),
    (5, "It is raining in Berlin today.", "Today it rains in Berlin."),
    (4, "A man is playing a guitar.", "The man plays his guitar on stage."),
    (4, "The company raised its prices.", "Prices were increased by the firm."),
    (4, "A child is riding a bicycle.", "A kid rides a bike in the park."),
    (4, "The doctor prescribed a new medicine.", "A physician prescribed medication."),
    (4, "Where can I buy cheap shoes?", "Which shop sells inexpensive shoes?"),
    (3, "Our flight to Rome was delayed.", "The plane to Italy left late."),
    (3, "The film was terrible.", "I hated that movie."),
    (3, "The team won the football match.", "Their side scored and won the game."),
    (3, "Python raises an error in this function.", "There is a bug in my code."),
    (2, "She bakes bread every morning.", "He cooks dinner for the family."),
    (2, "Stock prices fell sharply.", "The bank raised interest rates."),
    (2, "The patient has a high fever.", "The hospital hired more nurses."),
    (2, "The dog sleeps on the sofa.", "My cat sits on a chair."),
    (1, "The court sentenced the thief.", "The government passed a new law."),
    (1, "We hiked up the mountain.", "The river flows through the forest."),
    (0, "The recipe needs two eggs.", "The satellite entered its orbit."),
    (0, "My laptop battery is empty.", "The choir sang beautifully."),
    (0, "Interest rates rose again.", "A kitten chased the ball of wool."),
    (0, "He studies medieval history.", "The printer is out of paper."),
    (0, "Our train leaves at nine.", "Vitamin C strengthens bones."),
    (0, "Tomatoes grow in the greenhouse.", "The compiler rejects this type."),
]  # fmt: skip


def cosine(first: str, second: str, dimensions: int | None = None) -> float:
    one, other = EMBEDDER.embed([first, second], dimensions).astype(numpy.float64)
    return float(one @ other)


def ranks(values: list[float]) -> list[float]:
    """Ties share their mean rank."""
    return [sum(o < v for o in values) + (values.count(v) - 1) / 2 for v in values]


def spearman(first: list[float], second: list[float]) -> float:
    return float(numpy.corrcoef(ranks(first), ranks(second))[0, 1])


@pytest.mark.parametrize("dimensions", [None, 512, 256])
def test_sentences_are_ranked_as_people_rank_them(dimensions: int | None) -> None:
    people = [float(score) for score, _, _ in PAIRS]
    ours = [cosine(first, second, dimensions) for _, first, second in PAIRS]
    assert spearman(people, ours) > 0.75


@pytest.mark.parametrize("dimensions", [None, 512, 256])
def test_meanings_are_ranked_as_people_rank_them(dimensions: int | None) -> None:
    people = [float(score) for score, _, _ in PAIRS]
    rows = SEMANTIC.embed([text for _, *both in PAIRS for text in both], dimensions)
    ours = [float(rows[k] @ rows[k + 1]) for k in range(0, len(rows), 2)]
    assert spearman(people, ours) > 0.9
    by_score = {
        score: [our for they, our in zip(people, ours, strict=True) if they == score]
        for score in (0, 4)
    }
    assert min(by_score[4]) > max(by_score[0])


def test_meanings_know_words_that_no_table_has() -> None:
    """Pairs that share no word: the nearer one first."""
    for text, near, far in (
        ("The cathedral has stained glass.", "An old church with coloured windows.", "A fast car."),
        (
            "Photosynthesis happens in leaves.",
            "Plants turn sunlight into energy.",
            "My shoes are wet.",
        ),
        (
            "The senate passed a bill.",
            "Lawmakers approved legislation.",
            "Bake it for ten minutes.",
        ),
    ):
        one, like, unlike = SEMANTIC.embed([text, near, far])
        assert one @ like > one @ unlike + 0.1


def test_meanings_have_the_same_bytes_in_every_process() -> None:
    texts = ["The cat sat on the mat", "na\u00efve caf\u00e9", "\u65e5\u672c\u8a9e", "!", " "]
    code = (
        "import sys, hashlib; from fakeai_proxy.generate.vectors import Embedder;"
        f"rows = Embedder('m', 768, 'semantic').embed({texts!r});"
        "sys.stdout.write(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours = Embedder("m", 768, "semantic").embed(texts).tobytes()
    assert told.stdout == hashlib.sha256(ours).hexdigest()


def test_without_the_extra_vectors_are_hashed_and_who_wants_more_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert embedder_kind("auto") == embedder_kind("semantic") == "semantic"
    assert embedder_kind("hashed") == "hashed"
    monkeypatch.setattr(semantic, "is_installed", lambda: False)
    assert embedder_kind("auto") == "hashed"
    with pytest.raises(ConfigError, match=r"fakeai-proxy\[semantic\]"):
        embedder_kind("semantic")


def test_related_texts_are_nearer_than_unrelated_ones() -> None:
    texts = [text for _, first, second in PAIRS[:12] for text in (first, second)]
    vectors = EMBEDDER.embed(texts).astype(numpy.float64)
    likeness = vectors @ vectors.T - 2 * numpy.eye(len(texts))
    partners = [index ^ 1 for index in range(len(texts))]
    nearest = likeness.argmax(axis=1).tolist()
    assert sum(a == b for a, b in zip(nearest, partners, strict=True)) >= 22


def test_case_and_punctuation_hardly_matter_but_do_not_vanish() -> None:
    assert 0.98 < cosine("hello world", "Hello, World!") < 1.0


def test_a_text_in_a_script_without_spaces_is_near_to_its_paraphrase() -> None:
    near = cosine("日本の首都は東京です", "東京は日本の首都")
    assert near > cosine("日本の首都は東京です", "猫が好き") + 0.3


def test_the_bytes_are_those_of_every_other_machine() -> None:
    texts = ["The cat sat on the mat", "naïve café ✓", "日本語", "!", "a b " * 500]
    digest = hashlib.sha256(EMBEDDER.embed(texts).astype("<f4").tobytes()).hexdigest()
    assert digest == "30c25bd3d861396f10170edc620b2f854cb0930c537e3e816107e6ed5e69e28c"


def test_models_have_spaces_of_their_own() -> None:
    one = EMBEDDER.embed(["same text"])[0].astype(numpy.float64)
    other = Embedder("text-embedding-ada-002", 1536).embed(["same text"])[0]
    assert abs(float(one @ other)) < 0.3


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4),
    st.integers(1, 1536),
)
def test_any_text_has_a_vector_of_unit_length_whatever_its_neighbours(
    texts: list[str], dimensions: int
) -> None:
    together = EMBEDDER.embed(texts, dimensions)
    assert together.shape == (len(texts), dimensions)
    lengths = numpy.linalg.norm(together.astype(numpy.float64), axis=1)
    assert numpy.allclose(lengths, 1.0, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        assert numpy.array_equal(EMBEDDER.embed([text], dimensions)[0], vector)


def test_forms_of_a_word_share_a_stem() -> None:
    assert len({stem(word) for word in ("run", "runs", "running")}) == 1
    assert len({stem(word) for word in ("city", "cities")}) == 1
    assert len({stem(word) for word in ("make", "makes", "making")}) == 1
    assert stem("glass") == "glass"


def test_numpy_is_not_loaded_before_a_vector_is_needed() -> None:
    loads = "import sys, fakeai_proxy.services, fakeai_proxy.generate.vectors"
    code = f"{loads}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
