"""The verdicts of a course, for people, for programs and for CI."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from fakeai_proxy.resilience.finding import SEVERITIES, Severity, worst
from fakeai_proxy.resilience.verdict import Verdict
from fakeai_proxy.resilience.watch import Ask

if TYPE_CHECKING:
    from rich.console import Console

#: Lines of its output that are shown of a trial that went badly.
TAIL_LINES, TAIL_COLUMNS = 12, 200
#: Attempts of one trial that are told in JSON.
ATTEMPTS_TOLD_MAX = 50

_COLOURS = {"good": "green", "weak": "yellow", "bad": "bold red", None: "dim"}
#: XML has no place for these.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Report:
    command: tuple[str, ...]
    mode: str
    course: str
    verdicts: tuple[Verdict, ...]

    @property
    def worst(self) -> Severity:
        return worst(one for verdict in self.verdicts for one in verdict.findings)

    @property
    def took_s(self) -> float:
        return sum([verdict.sight.ran.took_s for verdict in self.verdicts if verdict.sight])

    @property
    def counts(self) -> dict[str, int]:
        seen: Counter[str] = Counter(verdict.severity or "unjudged" for verdict in self.verdicts)
        return {name: seen[name] for name in (*SEVERITIES, "unjudged")}

    def fails(self, on: str) -> bool:
        return on != "never" and SEVERITIES.index(self.worst) >= SEVERITIES.index(_severity(on))


def _severity(name: str) -> Severity:
    return next(severity for severity in SEVERITIES if severity == name)


# --- for people ------------------------------------------------------------------------------------


def print_report(report: Report, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    framed = console.is_terminal
    table = Table(box=box.ROUNDED if framed else None, title_justify="left", expand=False)
    for name in ("trial", "what goes wrong", "what it did", "verdict"):
        table.add_column(name, overflow="fold", no_wrap=name in ("trial", "verdict"))
    for verdict in report.verdicts:
        severity = verdict.severity
        did = (
            " ".join([one.said for one in verdict.worst_first])
            or f"Not judged: {verdict.unjudged}."
        )
        table.add_row(
            Text(verdict.trial.name), Text(verdict.trial.meaning), Text(did),
            Text(severity or "-", style=_COLOURS[severity] if framed else ""),
        )  # fmt: skip
    console.print(table)
    _print_advice(report, console)
    counts = ", ".join([f"{number} {name}" for name, number in report.counts.items() if number])
    console.print(f"{counts}; {report.took_s:.0f} s.", highlight=False, markup=False)


def _print_advice(report: Report, console: Console) -> None:
    places: dict[str, tuple[str, list[str]]] = {}
    for verdict in report.verdicts:
        for one in verdict.findings:
            if one.severity != "good":
                places.setdefault(one.code, (one.advice, []))[1].append(verdict.trial.name)
    if places:
        console.print("\nWhat to do", highlight=False)
    for advice, trials in places.values():
        console.print(f"* {advice} ({', '.join(trials)})", highlight=False, markup=False)


def tail(verdict: Verdict) -> list[str]:
    """The last lines that the program wrote."""
    if verdict.sight is None:
        return []
    ran = verdict.sight.ran
    lines = [line for line in (ran.out + "\n" + ran.err).splitlines() if line.strip()]
    return [line[:TAIL_COLUMNS] for line in lines[-TAIL_LINES:]]


# --- for programs ----------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, object]:
    return {
        "command": list(report.command),
        "mode": report.mode,
        "course": report.course,
        "verdict": report.worst,
        "counts": report.counts,
        "took_s": round(report.took_s, 3),
        "trials": [_trial(verdict) for verdict in report.verdicts],
    }


def _trial(verdict: Verdict) -> dict[str, object]:
    trial, sight = verdict.trial, verdict.sight
    told: dict[str, object] = {
        "name": trial.name,
        "meaning": trial.meaning,
        "expected": trial.expected,
        "fault": list(trial.fault),
        "verdict": verdict.severity,
        "unjudged": verdict.unjudged or None,
        "findings": [
            {"code": one.code, "severity": one.severity, "said": one.said, "advice": one.advice}
            for one in verdict.worst_first
        ],
    }
    if sight is None:
        return told
    ran = sight.ran
    return told | {
        "status": None if ran.killed else ran.status,
        "killed": ran.killed,
        "took_s": round(ran.took_s, 3),
        "budget_s": round(sight.budget_s, 3),
        "requests": len(sight.attempts),
        "asks": [_ask(ask, ran.started_at) for ask in sight.asks[:ATTEMPTS_TOLD_MAX]],
        "output": tail(verdict),
    }


def _ask(ask: Ask, started_at: float) -> dict[str, object]:
    return {
        "path": ask.attempts[0].path,
        "answered": ask.answered,
        "pauses_s": [round(pause, 3) for pause in ask.pauses_s[:ATTEMPTS_TOLD_MAX]],
        "attempts": [
            {
                "at_s": round(one.arrived_at - started_at, 3),
                "took_s": round(one.finished_at - one.arrived_at, 3),
                "model": one.model or None,
                "status": one.status or None,
                "end": one.end,
                "streamed": one.streamed,
                "faults": list(one.faults),
                "retry_count": one.retry_count,
            }
            for one in ask.attempts[:ATTEMPTS_TOLD_MAX]
        ],
    }


# --- for CI ----------------------------------------------------------------------------------------


def write_junit(report: Report, file: Path, fail_on: str) -> None:
    """A test suite with a case for each trial. Raises OSError."""
    cases = [_case(verdict, fail_on) for verdict in report.verdicts]
    suite = Xml.Element("testsuite", {
        "name": "fakeai-proxy resilience",
        "tests": str(len(cases)),
        "failures": str(sum([case.find("failure") is not None for case in cases])),
        "errors": "0",
        "skipped": str(sum([case.find("skipped") is not None for case in cases])),
        "time": f"{report.took_s:.3f}",
    })  # fmt: skip
    suite.extend(cases)
    root = Xml.Element("testsuites")
    root.append(suite)
    Xml.ElementTree(root).write(file, "utf-8", xml_declaration=True)


def _case(verdict: Verdict, fail_on: str) -> Xml.Element:
    sight, severity = verdict.sight, verdict.severity
    took_s = 0.0 if sight is None else sight.ran.took_s
    case = Xml.Element("testcase", {
        "classname": "fakeai-proxy.resilience", "name": verdict.trial.name, "time": f"{took_s:.3f}",
    })  # fmt: skip
    told = [f"{one.severity}: {one.said} {one.advice}".strip() for one in verdict.worst_first]
    if severity is None:
        Xml.SubElement(case, "skipped", {"message": verdict.unjudged})
    elif fail_on != "never" and SEVERITIES.index(severity) >= SEVERITIES.index(_severity(fail_on)):
        first = next(verdict.worst_first)
        failure = Xml.SubElement(
            case, "failure", {"type": first.code, "message": _clean(first.said)}
        )
        failure.text = _clean("\n".join(told))
    if sight is not None:
        out = Xml.SubElement(case, "system-out")
        out.text = _clean("\n".join([*told, "", *tail(verdict)]))
    return case


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
