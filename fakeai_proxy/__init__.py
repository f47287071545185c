"""A record/replay proxy and traffic shaper for LLM APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakeai_proxy.embedded.server import Server

__version__ = "0.1.0"
__all__ = ["__version__", "serve"]


def serve(**settings: object) -> Server:
    """A server in this process, for `with` or `async with`.

    `settings` are those of the program by the names of its flags: `mode="replay"`,
    `cassette="demo.jsonl"`, `match="agent"`, `timing="none"`; it listens on a free port unless `listen`
    says otherwise. The environment and configuration files are not looked at. Raises ConfigError, here
    or when it starts.
    """
    from fakeai_proxy.embedded.server import Server

    return Server(settings)
