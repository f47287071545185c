"""The address of a database as its user gives it, and as it may be shown."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

SCHEMES = ("postgresql", "postgres")
#: Parameters of an address that nobody is to see.
_SECRET = {"password", "sslpassword"}


def is_address(store: str | None) -> bool:
    """Whether this is a database to connect to, and no word."""
    return store is not None and store.partition("://")[0] in SCHEMES and "://" in store


def shown(address: str) -> str:
    """Without its secrets."""
    parts = urlsplit(address)
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    query = [
        (key, "..." if key in _SECRET else value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    netloc = f"{name}@{place}" if name else place
    return urlunsplit(
        (parts.scheme, netloc, parts.path, urlencode(query, quote_via=quote, safe="/"), "")
    )
