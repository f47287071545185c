"""What can be set about cassettes. Apart from the library, so that a server without one does not load
what reads and writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fakeai_proxy.cassette.forms import FORMS
from fakeai_proxy.profiles.spans import Span

Durability = Literal["each", "group", "none"]
Match = Literal["exact", "agent", "loose"]
Repeat = Literal["last", "loop", "error"]
Strict = Literal["all", "miss", "live", "stale", "new", "unused", "drift", "text", "skipped"]
#: How a verdict is said, besides into a file NAME.json.
VERDICTS = ("auto", "table", "json", "github", "none")
Seal = Literal["auto", "never"]


class CassetteSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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

    match: Match = Field(
        "exact",
        description="When a request is a recorded one. exact: it means the same to the last character; "
        "agent: ids and times may differ, in the same order of appearance; loose: the same model was "
        "last told the same, with a warning each time. The exact one is looked for first.",
    )
    match_ignore: tuple[str, ...] = Field(
        (),
        description="JSONPaths of what does not count in a request's body, such as "
        "$.metadata.run_id or $.messages[0].",
    )
    match_pattern: tuple[str, ...] = Field(
        (),
        description="Regular expressions: in a request's texts, whatever one of them matches is as good "
        "as whatever else it matches.",
    )
    match_credential: bool = Field(
        False,
        description="A recording answers only who has the credential that it was made with (compared by "
        "salted hashes), so that a wrong key is not answered as the right one was. With one cassette.",
    )
    repeat: Repeat = Field(
        "last",
        description="What answers a request that was asked more often than it was recorded: the last "
        "recording, the first again and so on, or none: a miss.",
    )
    explain_hits: bool = Field(
        True,
        description="Say in a header of a replayed reply, x-fakeai-cassette, which recording it is and "
        "how it was found; false replays the head to the byte.",
    )
    replay_interrupted: bool = Field(
        False,
        description="Replay recordings of interrupted replies too, cut off where they were.",
    )
    seal: Seal = Field(
        "auto",
        description="When a directory of recordings is made several times smaller: while it is recorded, "
        "64 MB at a time, and the rest at the end; or only by `cassette seal`. What a file is rid of at the "
        "end, where it is no larger, is what was of use only meanwhile.",
    )
    scrub_pattern: tuple[str, ...] = Field(
        (),
        description="Regular expressions of what is secret besides credentials; with a group, the group "
        "is. Recordings have placeholders of the same length in its place.",
    )
    scrub_header: tuple[str, ...] = Field(
        (),
        description="Headers of requests and replies of which recordings have placeholders only.",
    )
    scrub_pii: bool = Field(
        False,
        description="Keep e-mail addresses, phone, card, account (IBAN), US social security numbers and "
        "IP addresses out of recordings too. What was asked is still found by the same question.",
    )

    @field_validator("scrub_pattern")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                matches_nothing = re.compile(pattern.encode()).match(b"") is not None
            except re.error as error:
                raise ValueError(f"{pattern} is no regular expression: {error}") from None
            if matches_nothing:
                raise ValueError(f"{pattern} matches the empty text, so it tells nothing apart.")
        return patterns

    durability: Durability = Field(
        "group",
        description="When recordings are forced to the disk: with each one, in groups of 32 or 50 "
        "ms, or when the operating system likes. Only a power cut makes the difference.",
    )
    max_age: Span | None = Field(
        None,
        gt=0,
        description="How old a recording may be, such as 7d or 12h. An older one is no answer: it is as "
        "missed as if it were not there, and takes part again once --on-miss (or auto) has recorded it "
        "anew.",
    )
    rerecord: tuple[str, ...] = Field(
        (),
        description="ID of a recording that is asked again, once, and replaced; others stay as they "
        "are. Needs a mode that records what it misses, such as auto.",
    )
    verdict: tuple[str, ...] = Field(
        ("auto",),
        description="How the end of a run says what came of every request, on stderr: table, json (one "
        "line), github (annotations of a workflow), none, or auto, which is github where "
        "GITHUB_ACTIONS is set and table elsewhere (of --mode pass, nothing). NAME.json writes the JSON "
        "into that file, too.",
    )
    strict: tuple[Strict, ...] = Field(
        (),
        description="End with status 1 when there was one of these: miss, live, stale, new, unused, "
        "and with --mode diff drift (a live answer of another status, other fields, types or events), text "
        "(in other words) and skipped (there was none to compare). all are all but text, for models have "
        "other words at any temperature.",
    )

    @model_validator(mode="after")
    def _salts_are_of_one_cassette(self) -> Self:
        if self.match_credential and len(self.cassette) > 1:
            raise ValueError("match_credential: hashes of several cassettes cannot be compared.")
        return self

    @field_validator("verdict")
    @classmethod
    def _known_verdicts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in VERDICTS and not value.endswith(".json"):
                raise ValueError(f"{value} is none of {', '.join(VERDICTS)}, and no NAME.json")
        return values
