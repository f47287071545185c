"""Our settings as options of mitmproxy, made from the fields of `Config`: `--set fakeai_mode=replay`.

Values stay the strings that were typed, as on our own command line: `Config` alone judges them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fakeai_proxy.config import ENVIRONMENT_PREFIX, Config, is_list, split_list
from fakeai_proxy.errors import ConfigError

if TYPE_CHECKING:
    from mitmproxy.addonmanager import Loader
    from mitmproxy.options import Options

PREFIX = "fakeai_"
#: What names the TOML file with settings.
FILE = f"{PREFIX}config"

#: What mitmproxy does itself: whom it lets in, what it logs, how it ends, on how many processes it runs.
_MITMPROXYS = frozenset(("proxy_auth", "log_format", "drain_timeout", "workers"))


def add_options(loader: Loader) -> None:
    loader.add_option(FILE, str | None, None, "Read fakeai-proxy's settings from this TOML file.")
    for name in _offered():
        field = Config.model_fields[name]
        said = f"{field.description} [env {ENVIRONMENT_PREFIX}{name.upper()}]"
        if is_list(name):
            loader.add_option(PREFIX + name, Sequence[str], [], said)
        else:
            loader.add_option(PREFIX + name, str | None, None, said)


def config_of(options: Options, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings in force: file < environment < options. Raises ConfigError."""
    given: dict[str, object] = {}
    for name in _offered():
        value = getattr(options, PREFIX + name)
        if value is None or value == []:
            continue
        several = is_list(name)
        given[name] = tuple(p for part in value for p in split_list(part)) if several else value
    given |= _unknown(options)
    named = getattr(options, FILE) or environ.get("FAKEAI_PROXY_CONFIG")
    file = Path(named).expanduser() if named else None
    config = Config.load(file, environ, given, given_to="mitmproxy")
    if config.proxy_auth is not None:
        raise ConfigError("proxy_auth: mitmproxy lets clients in, by its own option `proxyauth`.")
    if "listen" not in config.model_fields_set:
        config = config.model_copy(update={"listen": "127.0.0.1:0"})
    return config


def _unknown(options: Options) -> dict[str, object]:
    """What mitmproxy keeps for an addon that might come: names that are ours, and no option. Raises
    ConfigError for a setting that is mitmproxy's affair here."""
    names = [name for name in options.deferred if name.startswith(PREFIX)]
    for name in names:
        if name.removeprefix(PREFIX) in _MITMPROXYS:
            raise ConfigError(f"{name}: mitmproxy does this itself, so there is no such option.")
    return {name.removeprefix(PREFIX): options.deferred[name] for name in names}


def _offered() -> Iterator[str]:
    return (name for name in Config.model_fields if name not in _MITMPROXYS)
