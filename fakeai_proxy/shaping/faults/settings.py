"""What can be set of faults. Kept apart from their table, which is loaded when there is a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fakeai_proxy.errors import ConfigError


def _checked(value: Any) -> Any:
    if not value:
        return ()
    from fakeai_proxy.shaping.faults.parsing import rules_of

    try:
        return rules_of(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class FaultSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    fault: Annotated[tuple[Any, ...], BeforeValidator(_checked)] = Field(
        (),
        description="What goes wrong on purpose, as NAME:PARAMETER=VALUE,... with conditions among the "
        "parameters (cut:p=0.03,after=20,model=gpt-4o*), or a status; `fakeai-proxy faults ls` names "
        "them all. In a file, a table [[fault]] each.",
    )
    faults: Path | None = Field(
        None, description="TOML file with more of them, one table [[fault]] each."
    )
    fault_header: Literal["loopback", "on", "off"] = Field(
        "loopback",
        description="Whose requests may ask for a fault with the header x-fakeai-fault: those of "
        "this machine, everybody's, or nobody's.",
    )
    fault_mark: bool = Field(
        True, description="Name the faults of an answer in its header x-fakeai-fault."
    )
