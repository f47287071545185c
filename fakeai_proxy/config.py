"""The whole configuration: every component's own settings, side by side in one flat namespace.

A field `upstream_proxy` is the key `upstream_proxy` of the TOML file, the environment variable
FAKEAI_PROXY_UPSTREAM_PROXY and the flag --upstream-proxy; later ones of these win.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.dcgm import DcgmSettings
from fakeai_proxy.observe.journal import JournalSettings
from fakeai_proxy.observe.log import LogSettings
from fakeai_proxy.providers import DialectSettings
from fakeai_proxy.proxy.admin import AdminSettings
from fakeai_proxy.proxy.front_door import FrontDoorSettings
from fakeai_proxy.proxy.policy import PolicySettings
from fakeai_proxy.services.azure.settings import AzureSettings
from fakeai_proxy.services.catalogue import CatalogueSettings
from fakeai_proxy.services.webhooks import WebhookSettings
from fakeai_proxy.shaping.faults.settings import FaultSettings
from fakeai_proxy.shaping.limits import LimitSettings
from fakeai_proxy.shaping.pacing import PacingSettings
from fakeai_proxy.shaping.scenario.settings import ScenarioSettings
from fakeai_proxy.shared.settings import SharedSettings
from fakeai_proxy.sources import LIVE_ON, MADE_UP_ON, PLAYING, RECORDED_ON, Mode, OnMiss
from fakeai_proxy.sources.doorkeeper import AuthSettings
from fakeai_proxy.sources.synth import SynthSettings
from fakeai_proxy.sources.upstream import UpstreamSettings
from fakeai_proxy.store import StoreSettings
from fakeai_proxy.store.address import shown

ENVIRONMENT_PREFIX = "FAKEAI_PROXY_"
_REPLAYING = f"it goes with {', '.join(PLAYING)}"
#: Environment names with the prefix that are no settings.
_EMPTY = "it is empty: give it a value, or leave it out"
_NOT_SETTINGS = frozenset(("CONFIG",))


class ServerSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    mode: Mode = Field(
        "synth",
        description="synth: answer everything ourselves; record: forward and record; replay: answer "
        "from the cassette; auto: replay, record what is missing; hybrid: replay, synthesize what "
        "is missing; diff: replay, ask live as well and report what differs; pass: forward only.",
    )
    on_miss: OnMiss | None = Field(
        None,
        description="What answers a request that the cassette does not hold, in the modes that "
        "replay: an error that names the nearest recordings, a synthesized answer, the upstream "
        "recorded, a synthesized answer recorded, or the upstream alone.",
    )
    profile: str = Field(
        "quick",
        description="Who sets the pace of synthesized answers: a fleet of simulated GPUs or a hosted "
        "back end, by NAME or as FILE.toml; none answers at once.",
    )
    seed: int = Field(
        0, ge=-(2**63), lt=2**63, description="Same seed and same request, same answer."
    )
    data: Path | None = Field(
        None,
        description="Folder for what this installation keeps: its certificate authority, its files, "
        "jobs and threads and, unless --cassette says otherwise, its recordings.",
    )
    clock: Literal["real", "virtual"] = Field(
        "real",
        description="virtual: time stands still, but for what answers take, which takes none of yours; "
        "POST /_fakeai/v1/clock/advance moves it, so that what expires, refills or is due tomorrow can "
        "be tested today. For one process, and modes that ask no upstream.",
    )
    keep_calls: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Requests that are kept with their bodies, in memory only, for "
        "POST /_fakeai/v1/verify: was it called with this, and how often. 0 keeps none.",
    )
    drain_timeout: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that replies under way may take to finish after the first Ctrl-C or "
        "SIGTERM; then they are cut.",
    )


class Config(
    LogSettings,
    DcgmSettings,
    JournalSettings,
    AdminSettings,
    AuthSettings,
    SynthSettings,
    AzureSettings,
    DialectSettings,
    CatalogueSettings,
    PolicySettings,
    FrontDoorSettings,
    ScenarioSettings,
    FaultSettings,
    LimitSettings,
    PacingSettings,
    CassetteSettings,
    UpstreamSettings,
    SharedSettings,
    WebhookSettings,
    StoreSettings,
    ServerSettings,
):
    """Everything that can be set. The fields of the last base come first, in --help too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _recordings_follow_the_data(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("data") and not values.get("cassette"):
            recordings = Path(values["data"]).expanduser() / "recordings.fcz"
            return {**values, "cassette": (recordings,)}
        return values

    @model_validator(mode="after")
    def _a_miss_needs_a_cassette(self) -> Self:
        if self.on_miss is not None and self.mode not in PLAYING:
            raise ValueError(
                f"on_miss: mode {self.mode} does not replay, so nothing is ever missing; {_REPLAYING}."
            )
        return self

    @model_validator(mode="after")
    def _what_is_replaced_is_played_and_recorded(self) -> Self:
        if self.max_age is not None and self.mode not in PLAYING:
            raise ValueError(f"max_age: mode {self.mode} does not replay; {_REPLAYING}.")
        if self.rerecord and self.miss != "record":
            raise ValueError(
                f"rerecord: mode {self.mode} does not record what it misses; use --mode auto."
            )
        return self

    @model_validator(mode="after")
    def _there_is_something_to_judge(self) -> Self:
        if self.mode == "synth":
            found = "strict" if self.strict else "verdict" if self._wants_verdict else ""
            if found:
                raise ValueError(
                    f"{found}: mode synth neither replays nor asks live, so there is nothing to judge; "
                    f"it goes with {', '.join(PLAYING)}, record and pass."
                )
        return self

    @model_validator(mode="after")
    def _keys_are_for_answers_of_ours(self) -> Self:
        if self.auth == "required" and not self.synthesizes:
            raise ValueError(
                f"auth: mode {self.mode} answers nothing itself, so keys are its upstream's affair."
            )
        return self

    @model_validator(mode="after")
    def _time_is_ours_to_move(self) -> Self:
        if self.clock == "virtual":
            if self.is_live:
                raise ValueError(
                    "clock: an upstream lives in real time; virtual goes with --mode synth, replay and "
                    "hybrid."
                )
            if self.workers > 1 or self.redis is not None:
                raise ValueError("clock: several processes have no virtual clock in common.")
        return self

    @property
    def miss(self) -> OnMiss | None:
        """What a miss leads to; None in the modes that do not replay."""
        return self.on_miss or PLAYING.get(self.mode)

    @property
    def is_live(self) -> bool:
        """Whether an upstream may be asked at all."""
        return self.mode in LIVE_ON or self.miss in LIVE_ON

    @property
    def synthesizes(self) -> bool:
        return not MADE_UP_ON.isdisjoint((self.mode, self.miss))

    @property
    def has_back_end(self) -> bool:
        """Whether anything follows the profile's pace."""
        return self.synthesizes or self.timing == "profile"

    @property
    def is_timed(self) -> bool:
        """Whether answers take a time of which the speed can be changed."""
        by_profile = self.profile != "none" and (self.synthesizes or self.timing == "profile")
        by_recording = self.miss is not None and self.timing == "recorded"
        return self.timing != "none" and (by_profile or by_recording)

    @property
    def records(self) -> bool:
        return not RECORDED_ON.isdisjoint((self.mode, self.miss))

    @property
    def tells_verdict(self) -> bool:
        """Whether the end says what came of every request: where recordings are played or made, and
        of live calls alone where somebody wants to know."""
        return self.miss is not None or self.records or bool(self.strict) or self._wants_verdict

    @property
    def _wants_verdict(self) -> bool:
        """Whether that was said, in other words than the default's or none."""
        return not {"auto", "none"}.issuperset(self.verdict)

    @property
    def data_dir(self) -> Path:
        """`data`, or the platform's place for a user's program data."""
        if self.data is not None:
            return self.data.expanduser()
        home = os.environ.get("XDG_DATA_HOME", "")
        return (Path(home) if home else Path.home() / ".local/share") / "fakeai-proxy"

    @property
    def ca_dir(self) -> Path:
        """Where the certificate authority is."""
        return self.data_dir / "ca"

    @property
    def state_dir(self) -> Path | None:
        """Where the store lies; None for one in memory."""
        kept = self.data is not None if self.store is None else self.store == "sqlite"
        return self.data_dir if kept else None

    @property
    def store_place(self) -> str:
        """Where the store is, to be shown to anybody; "" where nothing is kept."""
        if not self.synthesizes:
            return ""
        if self.store_address is not None:
            return shown(self.store_address)
        return "memory" if self.state_dir is None else f"sqlite in {self.state_dir}"

    @classmethod
    def load(
        cls,
        file: Path | None = None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
        keywords: Mapping[str, object] | None = None,
        *,
        given_to: Literal["flags", "mitmproxy"] = "flags",
    ) -> Self:
        """File, then environment, then flags. `flags` holds what was given, by field name, and so do
        the `keywords` of a call in Python; they may be the options of mitmproxy instead.

        Raises ConfigError that names the key, where it was set and what would be valid.
        """
        values: dict[str, object] = {}
        places: dict[str, str] = {}
        for place, layer in (
            (str(file), _read(file) if file else {}),
            ("environment", _from_environment(cls, environ or {})),
            (given_to, dict(flags or {})),
            ("keywords", _from_keywords(cls, keywords or {})),
        ):
            for key, value in layer.items():
                name = key.replace("-", "_")
                if name not in cls.model_fields:
                    raise ConfigError(_unknown(cls, place, key))
                values[name] = value
                places[name] = _spelled(place, name)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            message = _EMPTY if _is_empty(first) else first["msg"].removeprefix("Value error, ")
            name = str(first["loc"][0]) if first["loc"] else ""
            if not name:  # a rule about several settings begins with the one to change
                name, _, message = message.partition(": ")
            raise ConfigError(f"{places.get(name, name)}: {message}") from None


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"--config {file}: {error.strerror}. Name a TOML file that can be read, or leave it out."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'--config {file}: this is no TOML: {error}. A setting is a line: mode = "synth".'
        ) from None


def _is_empty(error: ErrorDetails) -> bool:
    """Whether nothing was given where something has to be."""
    too_short = error["type"] in ("too_short", "string_too_short")
    return too_short and error["ctx"]["min_length"] == 1


def _from_environment(cls: type[BaseModel], environ: Mapping[str, str]) -> dict[str, object]:
    layer: dict[str, object] = {}
    for name, value in environ.items():
        key = name.removeprefix(ENVIRONMENT_PREFIX)
        if key == name or key in _NOT_SETTINGS:
            continue
        layer[key.lower()] = pieces_of(key.lower(), value) if is_list(key.lower(), cls) else value
    return layer


def _from_keywords(cls: type[BaseModel], keywords: Mapping[str, object]) -> dict[str, object]:
    """One value stands for a list of one, where several may be given."""
    return {
        name: (value,) if is_list(name, cls) and isinstance(value, (str, Path)) else value
        for name, value in keywords.items()
    }


def is_list(name: str, cls: type[BaseModel] = Config) -> bool:
    """Whether the setting takes several values."""
    field = cls.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is tuple


def pieces_of(name: str, value: str) -> tuple[str, ...]:
    """What was written of a list; commas are part of a pattern."""
    return (value,) if name.endswith("_pattern") and value else split_list(value)


def split_list(value: str) -> tuple[str, ...]:
    """`a,b` as a flag or an environment variable gives several values."""
    return tuple(piece.strip() for piece in value.split(",") if piece.strip())


def _unknown(cls: type[BaseModel], place: str, key: str) -> str:
    near = difflib.get_close_matches(key.replace("-", "_"), cls.model_fields, 1)
    hint = f" Did you mean {_spelled(place, near[0]).removeprefix(f'{place}: ')}?" if near else ""
    return f"{_spelled(place, key)}: there is no such setting.{hint}"


def _spelled(place: str, name: str) -> str:
    """The setting as its user wrote it."""
    if place == "flags":
        return "--" + name.replace("_", "-")
    if place == "mitmproxy":
        return f"fakeai_{name}"
    if place == "keywords":
        return f"{name}="
    if place == "environment":
        return ENVIRONMENT_PREFIX + name.upper()
    return f"{place}: {name}"
