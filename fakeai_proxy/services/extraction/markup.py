"""HTML as its reader sees it: headings, lists and tables have their marks, scripts are not there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from fakeai_proxy.services.extraction.plain import declared_text

_UNSEEN = frozenset(
    ("script", "style", "template", "noscript", "svg", "canvas", "iframe", "object")
)
_BLOCKS = frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div",
        "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
        "h6", "header", "hr", "html", "legend", "main", "nav", "ol", "option", "p", "pre", "section",
        "summary", "table", "tbody", "tfoot", "thead", "title", "ul",
    )
)  # fmt: skip
_SPACE = re.compile(r"[ \t\r\f\v\xa0]+")
_BLANKS = re.compile(r"\s*\n\s*\n\s*")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = ""
        self._depth = 0
        self._kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen:
            self._depth += tag == self._unseen
        elif tag in _UNSEEN:
            self._unseen, self._depth = tag, 1
        else:
            self._kept += tag == "pre"
            self.parts.append(self._before(tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN:
            self.handle_starttag(tag, attrs)

    def _before(self, tag: str, attributes: dict[str, str | None]) -> str:
        if re.fullmatch("h[1-6]", tag):
            return "\n\n" + "#" * int(tag[1]) + " "
        if tag == "img":
            return f" {attributes.get('alt') or ''} "
        if tag in ("td", "th"):
            return " | "
        if tag == "li":
            return "\n- "
        if tag in ("br", "tr"):
            return "\n"
        return "\n\n" if tag in _BLOCKS else ""

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            self._depth -= tag == self._unseen
            if not self._depth:
                self._unseen = ""
            return
        self._kept = max(self._kept - (tag == "pre"), 0)
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data if self._kept else re.sub(r"\s+", " ", data))


def html_text(data: bytes) -> str:
    """Raises Unreadable."""
    page = _Page()
    text = declared_text(data)
    try:
        page.feed(text)
        page.close()
    except (AssertionError, ValueError):  # of a declaration that is none; what came before is kept
        pass
    lines = [_SPACE.sub(" ", line).strip(" ") for line in "".join(page.parts).split("\n")]
    return _BLANKS.sub("\n\n", "\n".join([line.removeprefix("| ") for line in lines])).strip()
