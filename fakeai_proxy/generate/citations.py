"""Pages on the web that an answer could have been found on: made up, on domains that nobody owns."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

#: example.com and its siblings are reserved for this (RFC 2606).
_SITES = (("Example Encyclopedia", "encyclopedia.example.org"), ("The Example Times", "news.example.com"),
          ("Example Journal", "journal.example.net"), ("Example Guide", "guide.example.com"))  # fmt: skip
_SLUG = re.compile(r"[^a-z0-9]+")


class Page(NamedTuple):
    title: str
    url: str


def page(rng: Random, subject: str) -> Page:
    site, host = _SITES[rng.randrange(len(_SITES))]
    slug = _SLUG.sub("-", subject.lower()).strip("-") or "overview"
    title = f"{subject.strip()[:80].capitalize() or 'Overview'} - {site}"
    return Page(title, f"https://{host}/{slug[:60]}?utm_source=openai")
