"""What can be set about cassettes. Apart from the library, so that a server without one does not load
what reads and writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: A directory, a file, and a file that is compressed.
FORMS = (".fcz", ".jsonl", ".jsonl.zst")

Durability = Literal["each", "group", "none"]


class CassetteSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cassette: tuple[Path, ...] = Field(
        (Path("recordings.fcz"),),
        min_length=1,
        description="Where recordings are: a directory NAME.fcz, or a file NAME.jsonl or "
        "NAME.jsonl.zst. The first is recorded into; all are replayed from.",
    )

    @field_validator("cassette")
    @classmethod
    def _known_forms(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in paths:
            if not path.name.endswith(FORMS):
                raise ValueError(f"{path} ends in none of {', '.join(FORMS)}")
        return paths

    replay_interrupted: bool = Field(
        False,
        description="Replay recordings of interrupted replies too, cut off where they were.",
    )
    durability: Durability = Field(
        "group",
        description="When recordings are forced to the disk: with each one, in groups of 32 or 50 "
        "ms, or when the operating system likes. Only a power cut makes the difference.",
    )
