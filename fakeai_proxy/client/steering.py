"""The rows that show and change what goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import loads
from typing import Any, Literal, TypedDict, Unpack

from fakeai_proxy.client.asking import CONTROL, Asked, Row, do, get, part
from fakeai_proxy.client.streams import Feed, Streamed
from fakeai_proxy.observe import fleet_shapes, live_shapes, shapes

Told = live_shapes.History | live_shapes.Sample | fleet_shapes.Fleet | shapes.Marks
_TOLD: dict[str, Callable[[bytes], Told]] = {
    "history": live_shapes.History.model_validate_json,
    "sample": live_shapes.Sample.model_validate_json,
    "fleet": fleet_shapes.Fleet.model_validate_json,
    "marks": shapes.Marks.model_validate_json,
}
ExportFormat = Literal["jsonl", "csv", "parquet"]


class Filters(TypedDict, total=False):
    """Which exchanges; `status` is 429, or 4xx."""

    status: str
    route: str
    key: str
    project: str
    model: str
    source: str
    worker: str
    end: str
    fault: str
    phase: str


class Steering:
    """A part of both clients."""

    @Row
    def health(self) -> Asked[shapes.Health]:
        return get("/_fakeai/health", shapes.Health.model_validate_json)

    @Row
    def status(self) -> Asked[shapes.Status]:
        return get(f"{CONTROL}/status", shapes.Status.model_validate_json)

    @Row
    def reset(self) -> Asked[shapes.Reset]:
        """All counters, the journal and kept calls begin anew."""
        return do("POST", "reset", shapes.Reset.model_validate_json)

    @Row
    def openapi(self) -> Asked[dict[str, Any]]:
        return get(f"{CONTROL}/openapi.json", loads)

    # --- what was asked

    @Row
    def journal(
        self, limit: int = 100, *, after: str | None = None, **filters: Unpack[Filters]
    ) -> Asked[shapes.Journal]:
        """Newest first; `after` is the last id of the page before."""
        read = shapes.Journal.model_validate_json
        return get(f"{CONTROL}/journal", read, limit=limit, after=after, **filters)

    @Streamed
    def follow_journal(
        self, *, last_id: str = "", **filters: Unpack[Filters]
    ) -> Feed[shapes.Entry]:
        """Exchanges as they finish. `last_id` is where an earlier stream was: it goes on there."""
        read = {"exchange": shapes.Entry.model_validate_json}
        return Feed(f"{CONTROL}/journal/stream", read, filters, last_id)

    @Streamed
    def live(self) -> Feed[Told]:
        """What the dashboard shows: a `History`, then a `Sample` a second; with them the `Fleet`, if there
        is one, and the `Marks` whenever they change. Nobody goes on where they left off: after a loss
        there is a history again."""
        return Feed(f"{CONTROL}/live", _TOLD)

    @Row
    def export_journal(
        self, format: ExportFormat = "jsonl", **filters: Unpack[Filters]  # noqa: A002 - the parameter
    ) -> Asked[bytes]:  # fmt: skip
        """The file, oldest first."""
        return get(f"{CONTROL}/journal/export", bytes, format=format, **filters)

    @Row
    def journal_entry(self, exchange_id: str) -> Asked[shapes.Entry]:
        return get(f"{CONTROL}/journal/{part(exchange_id)}", shapes.Entry.model_validate_json)

    @Row
    def clear_journal(self) -> Asked[shapes.Cleared]:
        return do("DELETE", "journal", shapes.Cleared.model_validate_json)

    @Row
    def verify(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        host: str | None = None,
        model: str | None = None,
        contains: str | None = None,
        body: str | None = None,
        json: Mapping[str, object] | None = None,
        status: int | None = None,
        source: str | None = None,
        count: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> Asked[shapes.Verified]:
        """Whether it was asked, at least once unless told otherwise (--keep-calls). `json` has JSONPaths
        and the values they lead to."""
        return do(
            "POST", "verify", shapes.Verified.model_validate_json, method=method, path=path, host=host,
            model=model, contains=contains, body=body, json=json, status=status, source=source,
            count=count, at_least=at_least, at_most=at_most,
        )  # fmt: skip

    @Row
    def verdict(self) -> Asked[shapes.Verdict]:
        """What came of all requests, where cassettes are replayed or recorded."""
        return get(f"{CONTROL}/verdict", shapes.Verdict.model_validate_json)

    @Row
    def drift(self) -> Asked[shapes.Drift]:
        """What live answers differ in from their recordings, with --mode diff."""
        return get(f"{CONTROL}/drift", shapes.Drift.model_validate_json)

    @Row
    def watched(self) -> Asked[shapes.Watching]:
        """Files that are read again when they change."""
        return get(f"{CONTROL}/reload", shapes.Watching.model_validate_json)

    @Row
    def reload(self) -> Asked[shapes.Watching]:
        """Reads them all again, now."""
        return do("POST", "reload", shapes.Watching.model_validate_json)

    @Row
    def marks(self) -> Asked[shapes.Marks]:
        return get(f"{CONTROL}/marks", shapes.Marks.model_validate_json)

    @Row
    def mark(self, note: str = "") -> Asked[shapes.Mark]:
        """An incident, which all charts show."""
        return do("POST", "marks", shapes.Mark.model_validate_json, note=note)

    @Row
    def remove_mark(self, mark_id: str) -> Asked[shapes.Deleted]:
        return do("DELETE", f"marks/{part(mark_id)}", shapes.Deleted.model_validate_json)

    @Row
    def cassettes(self) -> Asked[shapes.Cassettes]:
        return get(f"{CONTROL}/cassettes", shapes.Cassettes.model_validate_json)

    @Row
    def misses(self, limit: int = 50) -> Asked[shapes.Misses]:
        read = shapes.Misses.model_validate_json
        return get(f"{CONTROL}/cassettes/misses", read, limit=limit)

    @Row
    def miss(self, exchange_id: str) -> Asked[shapes.MissRow]:
        path = f"{CONTROL}/cassettes/misses/{part(exchange_id)}"
        return get(path, shapes.MissRow.model_validate_json)

    # --- what goes wrong, and how fast

    @Row
    def limits(self, limit: int = 100) -> Asked[shapes.Limits]:
        return get(f"{CONTROL}/limits", shapes.Limits.model_validate_json, limit=limit)

    @Row
    def change_limits(
        self,
        limits: Sequence[str] | None = None,
        *,
        own: Mapping[str, object] | None = None,
        scale: float | None = None,
        exhaust: Sequence[str] | None = None,
        restore: Sequence[str] | None = None,
    ) -> Asked[shapes.Limits]:
        """`limits` are NAME[:TIER] of shipped ones, [] for none; `exhaust` keys, or `*`."""
        return do(
            "PUT", "limits", shapes.Limits.model_validate_json, limits=limits, own=own, scale=scale,
            exhaust=exhaust, restore=restore,
        )  # fmt: skip

    @Row
    def faults(self) -> Asked[shapes.FaultRules]:
        return get(f"{CONTROL}/faults", shapes.FaultRules.model_validate_json)

    @Row
    def add_fault(self, rule: str | Mapping[str, object]) -> Asked[shapes.FaultRule]:
        """As --fault takes it (`cut:after=20`), or a table."""
        return do("POST", "faults", shapes.FaultRule.model_validate_json, rule=rule)

    @Row
    def replace_faults(
        self, rules: Sequence[str | Mapping[str, object]]
    ) -> Asked[shapes.FaultRules]:
        return do("PUT", "faults", shapes.FaultRules.model_validate_json, rules=rules)

    @Row
    def remove_fault(self, rule_id: str) -> Asked[shapes.Deleted]:
        return do("DELETE", f"faults/{part(rule_id)}", shapes.Deleted.model_validate_json)

    @Row
    def clear_faults(self) -> Asked[shapes.Cleared]:
        return do("DELETE", "faults", shapes.Cleared.model_validate_json)

    @Row
    def scenario(self) -> Asked[shapes.ScenarioState]:
        return get(f"{CONTROL}/scenario", shapes.ScenarioState.model_validate_json)

    @Row
    def start_scenario(
        self, scenario: str | None = None, *, own: Mapping[str, object] | None = None
    ) -> Asked[shapes.ScenarioState]:
        """A shipped one by its name, or one of your own as in a TOML file."""
        read = shapes.ScenarioState.model_validate_json
        return do("PUT", "scenario", read, scenario=scenario, own=own)

    @Row
    def stop_scenario(self) -> Asked[shapes.ScenarioState]:
        return do("DELETE", "scenario", shapes.ScenarioState.model_validate_json)

    @Row
    def scenarios(self) -> Asked[shapes.Scenarios]:
        return get(f"{CONTROL}/scenarios", shapes.Scenarios.model_validate_json)

    @Row
    def clock(self) -> Asked[shapes.ClockState]:
        return get(f"{CONTROL}/clock", shapes.ClockState.model_validate_json)

    @Row
    def advance(self, seconds: float) -> Asked[shapes.ClockState]:
        """Of a server with --clock virtual."""
        read = shapes.ClockState.model_validate_json
        return do("POST", "clock/advance", read, seconds=seconds)

    @Row
    def profile(self) -> Asked[shapes.ProfileState]:
        return get(f"{CONTROL}/profile", shapes.ProfileState.model_validate_json)

    @Row
    def change_profile(
        self, profile: str | None = None, *, speed: float | None = None
    ) -> Asked[shapes.ProfileState]:
        read = shapes.ProfileState.model_validate_json
        return do("PUT", "profile", read, profile=profile, speed=speed)
