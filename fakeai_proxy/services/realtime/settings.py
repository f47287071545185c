"""What a session is set to, and how the protocol and the one before it (beta) write that down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.detection import TurnDetection
from fakeai_proxy.services.realtime.sound import FORMATS, PCM, Format

MaxTokens = int | Literal["inf"]
#: What a model is told where nobody says anything else.
_INSTRUCTIONS = "You are a helpful assistant. You speak with the user, so keep your answers short."
DEFAULT_VOICE = "alloy"


@dataclass(frozen=True)
class Settings:
    """`modalities` is what an answer has: text, or audio with its transcript."""

    kind: Literal["realtime", "transcription"] = "realtime"
    model: str = ""
    instructions: str = _INSTRUCTIONS
    modality: Literal["text", "audio"] = "audio"
    input_format: Format = PCM
    output_format: Format = PCM
    noise_reduction: Mapping[str, Any] | None = None
    transcription: Mapping[str, Any] | None = None
    detection: TurnDetection | None = field(default_factory=TurnDetection)
    voice: str = DEFAULT_VOICE
    speed: float = 1.0
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    parallel_calls: bool = True
    max_tokens: MaxTokens = "inf"
    temperature: float = 0.8
    include: tuple[str, ...] | None = None
    tracing: Any = None
    prompt: Any = None
    reasoning: Any = None
    truncation: Any = "auto"
    # Of one response:
    metadata: Mapping[str, str] | None = None
    in_conversation: bool = True


def _detection(vad: wire.ServerVad | wire.SemanticVad | None) -> TurnDetection | None:
    if vad is None:
        return None
    given = vad.model_dump(exclude_none=True)
    if vad.type == "semantic_vad":
        given.setdefault("eagerness", "auto")
    return TurnDetection(**given)


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if isinstance(value, wire.Strict) else value


def _modality(given: list[str]) -> Literal["text", "audio"]:
    return "audio" if "audio" in given else "text"


def _given(shape: wire.Strict, names: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """What the client said, under our names; null is the default again."""
    changes: dict[str, Any] = {}
    for name in shape.model_fields_set & names.keys():
        ours, read = names[name]
        value = getattr(shape, name)
        changes[ours] = read(value) if value is not None else _DEFAULTS.get(ours)
    return changes


_DEFAULTS: dict[str, Any] = {
    "instructions": _INSTRUCTIONS, "modality": "audio", "input_format": PCM, "output_format": PCM,
    "voice": DEFAULT_VOICE, "speed": 1.0, "tools": (), "tool_choice": "auto", "truncation": "auto",
    "parallel_calls": True, "max_tokens": "inf", "temperature": 0.8,
}  # fmt: skip


def _same(value: Any) -> Any:
    return value


def _tools(given: list[wire.FunctionTool]) -> tuple[Mapping[str, Any], ...]:
    return tuple([_plain(tool) for tool in given])


def _form(given: Any) -> Format:
    return FORMATS[given if isinstance(given, str) else given.type]


def _voice(given: Any) -> str:
    return given.id if isinstance(given, wire.VoiceId) else str(given)


_ASKED = {
    "instructions": ("instructions", _same),
    "max_output_tokens": ("max_tokens", _same),
    "output_modalities": ("modality", _modality),
    "parallel_tool_calls": ("parallel_calls", _same),
    "prompt": ("prompt", _plain),
    "reasoning": ("reasoning", _plain),
    "tool_choice": ("tool_choice", _plain),
    "tools": ("tools", _tools),
    "include": ("include", tuple),
    "tracing": ("tracing", _same),
    "truncation": ("truncation", _plain),
    "metadata": ("metadata", dict),
    "temperature": ("temperature", _same),
}
_INPUT = {
    "format": ("input_format", _form),
    "noise_reduction": ("noise_reduction", _plain),
    "transcription": ("transcription", _plain),
    "turn_detection": ("detection", _detection),
}
_OUTPUT = {
    "format": ("output_format", _form),
    "voice": ("voice", _voice),
    "speed": ("speed", _same),
}
_BETA = {
    **_ASKED,
    "max_response_output_tokens": ("max_tokens", _same),
    "modalities": ("modality", _modality),
    "input_audio_format": ("input_format", _form),
    "input_audio_noise_reduction": ("noise_reduction", _plain),
    "input_audio_transcription": ("transcription", _plain),
    "turn_detection": ("detection", _detection),
    "output_audio_format": ("output_format", _form),
    "voice": ("voice", _voice),
    "speed": ("speed", _same),
}


def changes_in(shape: wire.Strict) -> dict[str, Any]:
    """What a session update, or the parameters of a response, change."""
    if isinstance(shape, wire.BetaInput | wire.BetaAsked):
        return _given(shape, _BETA)
    changes = _given(shape, _ASKED)
    audio = getattr(shape, "audio", None)
    if audio is not None:
        given = getattr(audio, "input", None)
        if given is not None:
            changes |= _given(given, _INPUT)
        given = getattr(audio, "output", None)
        if given is not None:
            changes |= _given(given, _OUTPUT)
    return changes


def updated(settings: Settings, shape: wire.Strict) -> Settings:
    return replace(settings, **changes_in(shape))


# --- written down


def _vad_shown(detection: TurnDetection | None) -> dict[str, Any] | None:
    if detection is None:
        return None
    shared = {
        "type": detection.type,
        "create_response": detection.create_response,
        "interrupt_response": detection.interrupt_response,
    }
    if detection.type == "semantic_vad":
        return {**shared, "eagerness": detection.eagerness}
    return {
        **shared,
        "threshold": detection.threshold,
        "prefix_padding_ms": detection.prefix_padding_ms,
        "silence_duration_ms": detection.silence_duration_ms,
        "idle_timeout_ms": detection.idle_timeout_ms,
    }


def shown(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    audio_input = {
        "format": settings.input_format.shown(),
        "transcription": settings.transcription,
        "noise_reduction": settings.noise_reduction,
        "turn_detection": _vad_shown(settings.detection),
    }
    head = {"type": settings.kind, "id": session_id, "expires_at": expires_at}
    include = None if settings.include is None else list(settings.include)
    if settings.kind == "transcription":
        body = {"object": "realtime.transcription_session", "audio": {"input": audio_input}}
        return {**head, **body, "include": include}
    return {
        **head,
        "object": "realtime.session",
        "model": settings.model,
        "output_modalities": [settings.modality],
        "instructions": settings.instructions,
        "tools": list(settings.tools),
        "tool_choice": settings.tool_choice,
        "parallel_tool_calls": settings.parallel_calls,
        "max_output_tokens": settings.max_tokens,
        "tracing": settings.tracing,
        "truncation": settings.truncation,
        "prompt": settings.prompt,
        "reasoning": settings.reasoning,
        "audio": {"input": audio_input, "output": output_shown(settings)},
        "include": include,
    }


def output_shown(settings: Settings, speed: bool = True) -> dict[str, Any]:
    form = {"format": settings.output_format.shown(), "voice": settings.voice}
    return {**form, "speed": settings.speed} if speed else form


def beta_modalities(settings: Settings) -> list[str]:
    return ["text"] if settings.modality == "text" else ["audio", "text"]


def beta_shown(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    heard = {
        "input_audio_format": settings.input_format.beta,
        "input_audio_transcription": settings.transcription,
        "input_audio_noise_reduction": settings.noise_reduction,
        "turn_detection": _vad_shown(settings.detection),
        "include": None if settings.include is None else list(settings.include),
    }
    if settings.kind == "transcription":
        return {"id": session_id, "object": "realtime.transcription_session",
                "expires_at": expires_at, "modalities": beta_modalities(settings), **heard}  # fmt: skip
    return {
        "id": session_id,
        "object": "realtime.session",
        "model": settings.model,
        "expires_at": expires_at,
        "modalities": beta_modalities(settings),
        "instructions": settings.instructions,
        "voice": settings.voice,
        "speed": settings.speed,
        "output_audio_format": settings.output_format.beta,
        "tools": list(settings.tools),
        "tool_choice": settings.tool_choice,
        "temperature": settings.temperature,
        "max_response_output_tokens": settings.max_tokens,
        "tracing": settings.tracing,
        **heard,
    }
