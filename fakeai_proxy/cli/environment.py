"""The environment that sends unmodified programs through the proxy, and `fakeai-proxy env`, which
prints it for a shell.

Libraries agree on no variable: each of these is the only one that some client reads. Those for
certificates *replace* a client's own store, so they name a bundle of that store and our root;
Node's adds to it and names the root alone.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import click

from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.proxy.listening import Address, parse_listen
from fakeai_proxy.proxy.policy import Policy

if TYPE_CHECKING:
    from fakeai_proxy.proxy.authority import Authority

#: Never sent through the proxy.
LOCAL = ("localhost", "127.0.0.1", "::1")

_PROXY = ("HTTPS_PROXY", "HTTP_PROXY")
_BUNDLE = (
    "SSL_CERT_FILE",  # OpenSSL: Python's ssl, httpx, aiohttp, openai, anthropic
    "REQUESTS_CA_BUNDLE",  # requests
    "CURL_CA_BUNDLE",  # curl
    "AWS_CA_BUNDLE",  # boto3
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",  # gRPC
)


def variables(
    proxy_url: str, root: Path, bundle: Path, intercepted: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Name -> value; `environ` supplies what must be kept of NO_PROXY."""
    direct = _no_proxy(environ.get("NO_PROXY") or environ.get("no_proxy") or "", intercepted)
    proxies = dict.fromkeys(_PROXY, proxy_url) | {"NO_PROXY": direct}
    return {
        **proxies,
        **{name.lower(): value for name, value in proxies.items()},
        **dict.fromkeys(_BUNDLE, str(bundle)),
        "NODE_EXTRA_CA_CERTS": str(root),
        "NODE_USE_ENV_PROXY": "1",
    }


def _no_proxy(kept: str, intercepted: Sequence[str]) -> str:
    """What bypasses the proxy: this machine and what did before, but no host that is intercepted."""
    entries = dict.fromkeys([*LOCAL, *(entry.strip() for entry in kept.split(","))])
    return ",".join(
        entry
        for entry in entries
        if entry and not any(_bypasses(entry, host) for host in intercepted)
    )


def _bypasses(entry: str, pattern: str) -> bool:
    host = pattern.replace("*", "any").lower()
    suffix = entry.lower().removeprefix("*").removeprefix(".")
    return suffix in ("", host) or host.endswith("." + suffix)


def proxy_url(config: Config, listening: str) -> str:
    """The server's URL as clients must write it: reachable, with the credentials it asks for."""
    parts = urlsplit(listening)
    host = parts.hostname or ""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - bound to all, dialled at one
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    authority = str(Address(host, parts.port or 80))
    if config.proxy_auth is None:
        return f"http://{authority}"
    user, _, password = config.proxy_auth.get_secret_value().partition(":")
    return f"http://{quote(user, safe='')}:{quote(password, safe='')}@{authority}"


def open_authority(config: Config) -> Authority:
    from fakeai_proxy.proxy.authority import Authority  # a server's start needs only the names here

    hosts = Policy(config).intercepted
    return Authority.open(config.ca_dir, hosts, SystemClock().wall, config.intercept)


def environment(config: Config, listening: str) -> dict[str, str]:
    """The variables for the server at the URL `listening`; writes the bundle that they name."""
    authority = open_authority(config)
    bundle = config.ca_dir / "bundle.pem"
    authority.write_bundle(bundle, _present_bundle(bundle, os.environ))
    return variables(
        proxy_url(config, listening),
        authority.root_path,
        bundle,
        Policy(config).intercepted,
        os.environ,
    )


def _present_bundle(own: Path, environ: Mapping[str, str]) -> str | None:
    """What this environment trusts already, unless that is our own doing."""
    for name in _BUNDLE:
        value = environ.get(name)
        if value and Path(value) != own:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Shell:
    """How a shell sets and unsets variables."""

    set: Callable[[str, str], str]
    unset: Callable[[str], str]


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    # PowerShell takes the typographic quotes for single ones too.
    return "'" + "".join([char * 2 if char in "'‘’‚‛" else char for char in value]) + "'"


SHELLS = {
    "bash": Shell(
        lambda name, value: f"export {name}={shlex.quote(value)}", lambda name: f"unset {name}"
    ),
    "fish": Shell(lambda name, value: f"set -gx {name} {_fish(value)}", lambda name: f"set -e {name}"),
    "powershell": Shell(
        lambda name, value: f"$Env:{name} = {_powershell(value)}",
        lambda name: f"Remove-Item -ErrorAction SilentlyContinue Env:{name}",
    ),
}  # fmt: skip


def _own_shell() -> str:
    if sys.platform == "win32":
        return "powershell"
    return "fish" if Path(os.environ.get("SHELL", "")).name == "fish" else "bash"


@with_settings
@click.command()
@click.option("--shell", type=click.Choice(list(SHELLS)), help="Default: the shell you are in; bash "
              "is right for sh, dash and zsh too.")  # fmt: skip
@click.option("--unset", is_flag=True, help="Print the lines that take the variables away again.")
@click.pass_context
@tells_outcome
def env(ctx: click.Context, /, shell: str | None, unset: bool, **_: object) -> Outcome:
    """Print the shell lines that send programs through the proxy and make them trust it.

    \b
    bash, zsh:   eval "$(fakeai-proxy env)"
    fish:        fakeai-proxy env | source
    PowerShell:  fakeai-proxy env | Out-String | Invoke-Expression
    """
    syntax = SHELLS[shell or _own_shell()]
    if unset:
        names = variables("", Path(), Path(), (), {})
        return Outcome("\n".join(map(syntax.unset, names)), dict.fromkeys(names))
    config = load(ctx)
    address = parse_listen(config.listen)[0]
    if address.port == 0:
        raise ConfigError(
            "--listen: with port 0 nobody knows the port before the server runs. Give the port "
            "that the server printed, or use: fakeai-proxy run -- COMMAND"
        )
    values = environment(config, address.url)
    return Outcome("\n".join([syntax.set(*variable) for variable in values.items()]), values)
