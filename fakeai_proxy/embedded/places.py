"""The variables by which SDKs learn where their API is, and the keys without which they do not start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fakeai_proxy.cli.run import KEYS, PLACEHOLDER
from fakeai_proxy.exchange import Origin


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is what the SDK expects below the host; `upstream` is where the API is by itself."""

    variable: str
    vendor: str
    path: str = ""
    upstream: str | None = None


PLACES = (
    Place("OPENAI_BASE_URL", "openai", "/v1", "https://api.openai.com"),
    Place("OPENAI_API_BASE", "openai", "/v1"),  # what it was called before, and is by some
    Place("ANTHROPIC_BASE_URL", "anthropic", "", "https://api.anthropic.com"),
    Place("AZURE_OPENAI_ENDPOINT", "azure"),
    Place("GOOGLE_GEMINI_BASE_URL", "google", "", "https://generativelanguage.googleapis.com"),
)


def base_urls(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What sends the SDKs to the server at `url`, below the paths that `environ` names now."""
    direct = _joined(environ.get("NO_PROXY") or environ.get("no_proxy") or "", url)
    return {
        **{place.variable: url + _path(place, environ) for place in PLACES},
        # A proxy of the environment's would be asked for our address.
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def placeholders(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: PLACEHOLDER for name in KEYS if not environ.get(name)}


def vendors(environ: Mapping[str, str]) -> dict[str, Origin]:
    """Where the APIs are as far as `environ` says, or by themselves."""
    found: dict[str, Origin] = {}
    for place in PLACES:
        parts = urlsplit(environ.get(place.variable) or place.upstream or "")
        if parts.scheme in ("http", "https") and parts.hostname and place.vendor not in found:
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            found[place.vendor] = Origin(parts.scheme, parts.hostname, port)
    return found


def _path(place: Place, environ: Mapping[str, str]) -> str:
    named = environ.get(place.variable)
    return urlsplit(named).path.rstrip("/") if named else place.path


def _joined(kept: str, url: str) -> str:
    entries = [entry.strip() for entry in kept.split(",") if entry.strip()]
    host = urlsplit(url).hostname or ""
    return ",".join(entries if host in entries else [*entries, host])
