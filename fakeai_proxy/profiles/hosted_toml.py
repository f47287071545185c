"""Fitted rows as the text of a profile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakeai_proxy.profiles.hosted_fit import Fit


def hosted_toml(fits: Sequence[Fit], description: str, source: str) -> str:
    """A profile file of the rows."""
    lines = [
        f"description = {quoted(description)}",
        f"source = {quoted(source)}",
        "illustrative = false",
    ]
    for place, fit in enumerate(fits):
        values = fit.latency.model_dump(exclude_unset=True)
        values["model"] = "*" if place == len(fits) - 1 else pattern_of(fit.latency.model)
        name = fit.latency.model.replace("\n", " ")
        lines += ["", f"# {name}: {fit.streams} streams", "[[latency]]", *_row(values)]
    return "\n".join(lines) + "\n"


def _row(values: Mapping[str, Any]) -> Iterator[str]:
    ttft = values.get("ttft", ())
    for key, value in values.items():
        if key == "ttft":
            continue
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {share}" for name, share in value.items())
            yield f"{key} = {{ {inner} }}"
        elif isinstance(value, tuple):
            yield f"{key} = {json.dumps(value)}"
        else:
            yield f"{key} = {quoted(value) if isinstance(value, str) else value}"
    for row in ttft:
        yield "[[latency.ttft]]"
        yield f"prompt_tokens = {row['prompt_tokens']}"
        yield f"ms = {json.dumps(row['ms'])}"


def pattern_of(model: str) -> str:
    """A pattern that fits this name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in model)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
