"""What our own pages and the control API refuse."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.bodies import listed, shown
from fakeai_proxy.errors.kinds import ApiError, own_error


def unknown_page(method: str, path: str, near: Sequence[str]) -> ApiError:
    hint = f" Did you mean {near[0]}?" if near else ""
    return own_error(
        404,
        f"There is no page of ours at {method} {path}.{hint} "
        "GET /_fakeai/v1/openapi.json lists them all.",
        code="unknown_url",
    )


def _there_are(known: Sequence[str]) -> str:
    return f"There {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}."


def unknown_query(name: str, known: Sequence[str]) -> ApiError:
    hint = _there_are(known) if known else "This page takes none."
    return own_error(
        400, f"Unknown query parameter: '{name}'. {hint}", param=name, code="unknown_parameter"
    )


def unknown_field(path: str, known: Sequence[str] | None) -> ApiError:
    """`known` are those beside it, None where nobody says."""
    hint = "" if known is None else _there_are(known)
    message = f"Unknown parameter: '{path}'. {hint}".rstrip()
    return own_error(400, message, param=path, code="unknown_parameter")


def not_json(reason: str) -> ApiError:
    return own_error(400, f"The request body is not JSON: {reason}.", code="invalid_json")


def admin_token_wrong(given: bool) -> ApiError:
    said = "is not the one" if given else "is missing: give the one"
    return own_error(
        401,
        f"The admin token {said} that this server was started with (--admin-token). Send it as "
        "`Authorization: Bearer TOKEN` or `x-fakeai-token: TOKEN`.",
        type="authentication_error",
        code="admin_token_wrong" if given else "admin_token_missing",
        headers={"www-authenticate": 'Bearer realm="fakeai-proxy"'},
    )


def control_refused(reason: str) -> ApiError:
    """`reason` is a sentence of its own."""
    return own_error(
        403,
        f"The control API is closed to this request. {reason}",
        type="permission_error",
        code="control_refused",
    )


def parquet_missing() -> ApiError:
    return own_error(
        501,
        "Parquet is written by pyarrow, which is not installed here: pip install "
        "'fakeai-proxy[parquet]'. Without it there are format=csv and format=jsonl.",
        param="format",
        code="extra_missing",
    )


def not_in_the_journal(entry: str) -> ApiError:
    return own_error(
        404,
        f"'{entry}' is not in the journal, or not any more.",
        code="journal_entry_not_found",
    )


def no_such_miss(exchange: str) -> ApiError:
    return own_error(
        404,
        f"No miss of '{exchange}' is remembered. GET /_fakeai/v1/cassettes/misses lists the last ones.",
        code="miss_not_found",
    )


def no_such_key_counted(name: str) -> ApiError:
    return own_error(
        404,
        f"Nothing was asked with the key '{name}'. Keys are called by their ids; "
        "GET /metrics/multi-dimensional lists those that asked something.",
        code="key_not_found",
    )


def websocket_wanted(path: str) -> ApiError:
    return own_error(
        426,
        f"{path} is a WebSocket: connect with ws:// or wss://.",
        code="websocket_wanted",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


def clock_is_real() -> ApiError:
    return own_error(
        409,
        "The clock is the real one, which nobody can advance: start with --clock virtual.",
        code="clock_is_real",
    )


def profile_is_a_fleet(name: str, choices: Sequence[str]) -> ApiError:
    return own_error(
        409,
        f"'{name}' is a fleet, whose workers are made when a server starts: start one with --profile "
        f"{name}. This one can change to {listed(choices)}.",
        code="profile_fixed",
    )


def profile_fixed(reason: str) -> ApiError:
    """`reason` is a sentence of its own."""
    return own_error(
        409,
        f"Profile and speed stay as they are while this server runs. {reason} Start it with another "
        "--profile or --speed.",
        code="profile_fixed",
    )


def no_calls_kept() -> ApiError:
    return own_error(
        409,
        "What was asked is not kept here: start with --keep-calls and how many calls to keep.",
        code="no_calls_kept",
    )


def no_such_mark(mark_id: str) -> ApiError:
    return own_error(
        404,
        f"There is no mark '{mark_id}'. GET /_fakeai/v1/marks lists them.",
        code="mark_not_found",
    )


def no_fleet() -> ApiError:
    return own_error(
        409,
        "No fleet is simulated here: start with --profile and the name of one "
        "(`fakeai-proxy profiles ls`).",
        code="no_fleet",
    )


def not_in_the_fleet(kind: str, name: str, known: Sequence[str]) -> ApiError:
    """`kind` is "worker" or "pool"."""
    names = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return own_error(
        404,
        f"The fleet has no {kind} '{shown(name)}'. There are {names or 'none'}.",
        code=f"{kind}_not_found",
    )


def worker_is_dead(name: str) -> ApiError:
    return own_error(409, f"The worker {name} is dead: restart it first.", code="worker_is_dead")


def no_such_fault(rule_id: str) -> ApiError:
    return own_error(
        404,
        f"There is no rule '{rule_id}'. GET /_fakeai/v1/faults lists them.",
        code="fault_not_found",
    )


def fault_refused() -> ApiError:
    return own_error(
        403,
        "Faults on demand (header x-fakeai-fault) are for clients on this machine; start with "
        "--fault-header on to let everybody ask for them.",
        type="permission_error",
        code="fault_refused",
    )
