"""What is said when the port is open: what is served, from where, and the one line to try first.

People get a few aligned lines (coloured on a terminal), programs one JSON object whose `event` is
`ready`.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass, field
from typing import Literal, Self, TextIO

import orjson

import fakeai_proxy
from fakeai_proxy.app import App
from fakeai_proxy.config import Config
from fakeai_proxy.observe.pages import OWN
from fakeai_proxy.proxy.policy import Policy

_DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True)
class Banner:
    version: str
    mode: str
    url: str
    pid: int
    profile: str
    upstream: str
    cassette: list[str]
    store: str
    ca: str
    intercepted: int
    #: Where each node's GPUs are shown, by its name.
    dcgm: dict[str, str]
    first: str
    #: What each cassette has, where somebody has looked.
    holds: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, app: App) -> Self:
        config = app.config
        return cls(
            version=fakeai_proxy.__version__,
            mode=config.mode,
            url=app.url,
            pid=os.getpid(),
            profile=config.profile if _is_timed_by_profile(config) else "",
            upstream=(config.upstream or "the host asked for") if config.is_live else "",
            cassette=[str(path) for path in config.cassette] if app.library else [],
            store=config.store_place,
            ca=str(config.ca_dir / "root.pem"),
            intercepted=len(Policy(config).intercepted),
            dcgm=app.exporters.urls,
            first=_first_line(config, app.url),
        )


def announce(banner: Banner, log_format: Literal["human", "json", "none"], stream: TextIO) -> None:
    if log_format == "json":
        stream.write(orjson.dumps({"event": "ready", **asdict(banner)}).decode() + "\n")
    elif stream.isatty():
        _colourful(banner)
    else:
        stream.write(
            f"fakeai-proxy {banner.version} {banner.mode} on {banner.url}\n"
            + "".join([f"  {name:<9} {value}\n" for name, value in _rows(banner)])
        )
    stream.flush()


def _rows(banner: Banner) -> list[tuple[str, str]]:
    rows = (
        ("upstream", banner.upstream),
        *([("holds", text) for text in banner.holds] or [("cassette", ", ".join(banner.cassette))]),
        ("profile", banner.profile),
        ("store", "" if banner.store == "memory" else banner.store),
        ("CA", f"{banner.ca} (HTTPS of {banner.intercepted} host patterns is intercepted)"),
        ("GPUs", ", ".join(f"{node} {url}/metrics" for node, url in banner.dcgm.items())),
        ("watch", f"{banner.url}{OWN}/"),
        ("try", banner.first),
    )
    return [(name, value) for name, value in rows if value]


def _colourful(banner: Banner) -> None:
    from rich.console import Console  # a terminal only, and 0.1 s to import
    from rich.text import Text

    # Soft wrapping, so that a long line is copied as one.
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text.assemble(
            ("fakeai-proxy", "bold"), f" {banner.version}  ", (banner.mode, "bold cyan"), "  ",
            (banner.url, "bold green"),
        )
    )  # fmt: skip
    for name, value in _rows(banner):
        shown = Text(value, style="bold" if name == "try" else "")
        console.print(Text.assemble((f"  {name:<9} ", "dim"), shown))


def _is_timed_by_profile(config: Config) -> bool:
    """Synthesized answers follow the profile, others only when told to; --timing none ends both."""
    return config.timing == "profile" or (config.timing == "recorded" and config.synthesizes)


def _first_line(config: Config, url: str) -> str:
    """A whole request where we answer by ourselves, else the way in for an existing program."""
    if config.mode == "synth":
        body = (
            '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
        )
        return (
            f"curl -N {url}/v1/chat/completions -H 'authorization: Bearer any-key' "
            f"-H 'content-type: application/json' -d '{body}'"
        )
    if config.upstream is not None:
        return f"export OPENAI_BASE_URL={url}/v1"
    return f'eval "$(fakeai-proxy{"".join(_as_flags(config, url))} env)"'


def _as_flags(config: Config, url: str) -> list[str]:
    """What `env` must be told to speak of this server."""
    flags = []
    authority = url.rpartition("//")[2]
    if authority != f"127.0.0.1:{_DEFAULT_PORT}":
        flags.append(f" --listen {authority}")
    if config.data is not None:
        flags.append(f" --data {shlex.quote(str(config.ca_dir.parent))}")
    if config.proxy_auth is not None:
        flags.append(" --proxy-auth USER:PASSWORD")
    flags += [f" --intercept {shlex.quote(host)}" for host in config.intercept]
    return flags
