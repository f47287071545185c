"""Text out of documents, whole and broken."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.services.extraction import Unreadable, text_of
from tests.services.stored_files import docx, pdf, pptx, zipped

PAGE = """<!doctype html><html><head><title>Rules</title><style>p {color: red}</style>
<script>var hidden = "not to be read";</script></head><body><h1>Opening &amp; closing</h1>
<p>We open at <b>nine</b>.</p><ul><li>Monday</li><li>Tuesday</li></ul>
<table><tr><th>Day</th><th>Hours</th></tr><tr><td>Friday</td><td>9&ndash;5</td></tr></table>
<noscript>switch it on</noscript><pre>a  b
c</pre><img alt="a map"></body></html>"""


def refused(name: str, data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        text_of(name, data)
    return caught.value.code


def test_a_page_is_what_its_reader_sees() -> None:
    text = text_of("a.html", PAGE.encode())
    assert "# Opening & closing\n\nWe open at nine.\n\n- Monday" in text
    assert "Friday | 9–5" in text
    assert "a  b\nc" in text.replace("a b", "a  b")
    assert "a map" in text
    for hidden in ("not to be read", "color", "switch it on"):
        assert hidden not in text


def test_word_documents_keep_their_order_headings_and_tables() -> None:
    data = docx("First.", "Second.", heading="Terms", table=(("Fee", "Due"), ("9", "May")))
    assert text_of("a.docx", data) == "# Terms\n\nFirst.\n\nSecond.\n\nFee | Due\n9 | May"


def test_slides_come_in_the_order_of_their_numbers() -> None:
    data = pptx(*[f"Slide {number}" for number in range(1, 12)])
    assert text_of("a.pptx", data).split("\n\n")[::10] == ["Slide 1", "Slide 11"]


def test_a_pdf_has_the_text_of_its_pages_in_order() -> None:
    data = pdf("The ferry leaves at six.\nBring a coat.", "Dogs are welcome.")
    text = text_of("a.pdf", data)
    assert text.index("ferry leaves") < text.index("coat") < text.index("Dogs are welcome")


def test_what_has_no_name_to_tell_is_told_by_its_bytes() -> None:
    for data in (
        pdf("Hello there."),
        docx("Hello there."),
        b"<html>Hello there.</html>",
        b"Hello there.",
    ):
        assert text_of("upload", data) == "Hello there."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus Köln, schöne Straßen und viele Füße überall in der Stadt.", "cp1252"),
        ("Ce café est situé près de l'hôtel, où l'été est très agréable.", "latin-1"),
        ("Привет из Москвы, сегодня хорошая погода и мы идём гулять в парк.", "cp1251"),
        ("今日は天気がいいので、公園に行きましょう。明日は雨が降るそうです。", "shift_jis"),
        ("Plain enough, but wide.", "utf-16-le"),
        ("Plain enough, but wide.", "utf-16-be"),
        ("Wide with a mark: čšž", "utf-16"),
        ("Very wide with a mark: čšž", "utf-32"),
        ("With a mark: čšž", "utf-8-sig"),
    ],
)
def test_text_is_read_in_whatever_encoding_it_is(text: str, encoding: str) -> None:
    assert text_of("a.txt", text.encode(encoding)) == text


def test_markup_may_say_its_encoding() -> None:
    page = '<html><meta charset="koi8-r"><p>Привет</p></html>'
    assert text_of("a.html", page.encode("koi8-r")) == "Привет"
    assert text_of("a.html", page.replace("koi8-r", "base64").encode()) == "Привет"


def test_json_is_indented_and_code_stays_as_it_is() -> None:
    assert text_of("a.json", b'{"a":{"b":"\\u00e9"}}') == '{\n  "a": {\n    "b": "é"\n  }\n}'
    assert text_of("a.json", b"{broken") == "{broken"
    assert text_of("a.py", b"def f():\n    return 1\n") == "def f():\n    return 1"
    assert text_of("a.csv", b"a,b\n1,2\n") == "a,b\n1,2"


@pytest.mark.parametrize("name", ["a.png", "a.zip", "a.doc", "a.xlsx", "a.exe", "x.tar.gz"])
def test_other_formats_are_unsupported(name: str) -> None:
    assert refused(name, b"anything") == "unsupported_file"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", b"not a pdf"), ("a.docx", b"not a zip"), ("a.docx", docx("x")[:-30]),
        ("a.docx", zipped({"word/other.xml": "<a/>"})), ("a.pptx", zipped({"a": "b"})),
        ("a.docx", zipped({"word/document.xml": "<unclosed>"})),
        ("a.docx", zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'})),
        ("a.txt", b""), ("a.txt", b"  \n "), ("a.txt", bytes(range(32)) * 9), ("a.md", b"\x00" * 99),
        ("a.html", b"<script>only()</script>"), ("a.pdf", pdf("")),
    ],
    ids=range(13),
)  # fmt: skip
def test_broken_ones_are_invalid(name: str, data: bytes) -> None:
    assert refused(name, data) == "invalid_file"


def test_a_bomb_is_not_unpacked() -> None:
    part = "<a>" + " " * (70 << 20)
    assert refused("a.docx", zipped({"word/document.xml": part})) == "invalid_file"


WHOLE = {
    "docx": docx("Some text.", "More of it.", heading="H"), "pptx": pptx("One", "Two"),
    "pdf": pdf("Some text.", "More."), "html": PAGE.encode(), "json": b'{"a": [1, 2]}',
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_whatever_is_in_a_file_it_is_text_or_unreadable(kind: str, data: st.DataObject) -> None:
    raw = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[place] = data.draw(st.integers(0, 255))
        else:
            raw[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
        raw = raw or bytearray(b"x")
    try:
        text = text_of(f"a.{kind}", bytes(raw))
    except Unreadable:
        return
    assert text
    text.encode("utf-8")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["txt", "html", "json", "pdf", "docx", "md", ""]), st.binary(max_size=400))
def test_bytes_of_any_kind_are_text_or_unreadable(kind: str, data: bytes) -> None:
    head = {"pdf": b"%PDF-1.4\n", "docx": b"PK\x03\x04"}.get(kind, b"")
    with suppress(Unreadable):
        assert text_of(f"a.{kind}" if kind else "a", head + data)
