"""`fakeai-proxy resilience -- CMD`: what a client program does when its API does badly.

Each trial has a server and a process of its own, so that nothing of one is left for the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fakeai_proxy.app import App
from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.run import NOT_EXECUTABLE, NOT_FOUND, child_environment
from fakeai_proxy.cli.serve import Interrupts, run_loop, set_up_diagnostics
from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.config import Config, split_list
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.resilience.child import run_once
from fakeai_proxy.resilience.question import question_of
from fakeai_proxy.resilience.report import Report, as_json, print_report, tail, write_junit
from fakeai_proxy.resilience.sight import Sight
from fakeai_proxy.resilience.trial import SHIPPED, Course, Trial, load_course
from fakeai_proxy.resilience.verdict import Verdict, judge, left_out
from fakeai_proxy.resilience.watch import Watch
from fakeai_proxy.shaping.faults.rule import Look

#: What a program may take when nothing goes wrong, unless --budget says otherwise; and with a fault, on
#: top of twice what it took then.
CALM_BUDGET_S, FAULT_BUDGET_S = 120.0, 15.0
#: How long exchanges may take to notice that their client has ended.
SETTLE_S = 1.0
#: Width of the table where there is no terminal.
PIPE_COLUMNS = 160
INTERRUPTED = 130

#: Matches no request; with it, bodies are read in every mode, and questions can be told apart.
_LOOKING = "hang:path=-,first=1"


@with_settings
@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--only", multiple=True, metavar="TRIAL[,...]", help="Only these trials, after the calm one."
)
@click.option("--skip", multiple=True, metavar="TRIAL[,...]", help="All but these.")
@click.option("--list", "list_trials", is_flag=True, help="List the trials and run nothing.")
@click.option(
    "--course", default=SHIPPED, metavar="NAME|FILE.toml", help="Other trials than those shipped."
)
@click.option("--budget", type=click.FloatRange(0.1, 3600), metavar="SECONDS",
              help="Time for each run with a fault; longer than the program's own timeouts, to see "
              f"those. [default {FAULT_BUDGET_S:g} and twice what the calm trial took]")  # fmt: skip
@click.option("--fail-on", type=click.Choice(["bad", "weak", "never"]), default="bad", show_default=True,
              help="The status is 1 from there on.")  # fmt: skip
@click.option("--json", "json_output", is_flag=True, help="One JSON object, for programs.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.xml",
              help="Write a JUnit report, a case for each trial.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Show the program's output as it comes.")
@click.pass_context
def resilience(ctx: click.Context, /, command: tuple[str, ...], **options: Any) -> int:
    """Run COMMAND through one fault after another, and tell what it did: whether it asked again and when,
    timed out, took half an answer for whole, ran its tools twice, gave up well.

    COMMAND is any client program that does its work and ends. It gets the environment that
    `fakeai-proxy run` sets. The faults lie over whatever answers: synthesized (the default), recorded
    (--mode replay --cassette FILE) or live.
    """
    course = load_course(options["course"])
    trials = course.chosen(_names(options["only"]), _names(options["skip"]))
    if options["list_trials"]:
        return _list(course, trials, options["json_output"])
    if not command:
        raise click.UsageError("Missing argument 'COMMAND...'.", ctx)
    program = shutil.which(command[0])
    if program is None:
        return _cannot_run(command[0], "there is no such command", NOT_FOUND)
    config = _config(ctx)
    set_up_diagnostics("human")
    run = _Run(config, (program, *command[1:]), options["budget"], options["verbose"])
    try:
        verdicts = run_loop(_interruptible(run, trials))
    except PermissionError as error:
        return _cannot_run(command[0], error.strerror or str(error), NOT_EXECUTABLE)
    if verdicts is None:
        return INTERRUPTED
    report = Report(command, config.mode, course.name, verdicts)
    _tell(report, options)
    return 1 if report.fails(options["fail_on"]) else 0


def _names(given: Sequence[str]) -> list[str]:
    return [name for part in given for name in split_list(part)]


def _config(ctx: click.Context) -> Config:
    config = load(ctx)
    if config.fault or config.faults:
        raise ConfigError("--fault: the course says what goes wrong; give it another with --course")
    changes: dict[str, object] = {"fault_mark": False, "log_format": "none"}
    if "listen" not in config.model_fields_set:
        changes["listen"] = "127.0.0.1:0"
    return config.model_copy(update=changes)


def _list(course: Course, trials: Sequence[Trial], json_output: bool) -> int:
    if json_output:
        click.echo(json.dumps([trial.model_dump() for trial in trials], indent=2))
        return 0
    wide = max(len(trial.name) for trial in trials)
    click.echo(f"{course.name}: {course.description}.")
    for trial in trials:
        click.echo(f"  {trial.name:<{wide}}  {trial.meaning}")
    return 0


class _Run:
    def __init__(
        self, config: Config, command: tuple[str, ...], budget_s: float | None, verbose: bool
    ) -> None:
        self.config = config
        self.command = command
        self.budget_s = budget_s
        self.verbose = verbose
        self._clock: Clock = SystemClock()

    async def course(
        self, trials: Sequence[Trial], tell: Callable[[str], None]
    ) -> tuple[Verdict, ...]:
        tell(trials[0].name)
        calm = await self._sight(trials[0], None)
        verdicts = [judge(calm)]
        self._show(verdicts[0])
        if verdicts[0].severity != "good":
            why = "it does not work where nothing goes wrong"
            return (*verdicts, *(Verdict(trial, unjudged=why) for trial in trials[1:]))
        for trial in trials[1:]:
            tell(trial.name)
            verdict = left_out(trial, calm) or judge(await self._sight(trial, calm))
            verdicts.append(verdict)
            self._show(verdict)
        return tuple(verdicts)

    async def _sight(self, trial: Trial, calm: Sight | None) -> Sight:
        watch = Watch()
        app = App(self.config, self._clock, (watch,))
        for rule in app.faults.replace((*trial.fault, _LOOKING)):
            if trial.concerns == "tool_results":
                rule.tests = (_brings_results, *rule.tests)
        await app.start()
        budget_s = self._budget_s(calm)
        try:
            environ = child_environment(self.config, app.url, os.environ)
            ran = await run_once(
                self.command, environ, budget_s, self._clock, _echo if self.verbose else None
            )
        finally:
            await app.close(SETTLE_S)
        return Sight(trial, watch.take(), ran, budget_s, calm)

    def _budget_s(self, calm: Sight | None) -> float:
        if calm is None:
            return max(CALM_BUDGET_S, self.budget_s or 0)
        return self.budget_s or FAULT_BUDGET_S + 2 * calm.ran.took_s

    def _show(self, verdict: Verdict) -> None:
        """What the program wrote where it did badly."""
        if verdict.severity == "bad" and not self.verbose:
            said = tail(verdict)
            head = "the program's last lines" if said else "the program said nothing"
            click.echo("\n".join([f"--- {verdict.trial.name}: {head}", *said]), err=True)


def _brings_results(look: Look) -> bool:
    request = look.request
    body = request.body.in_memory or b""
    return bool(question_of(request.method, request.target, body).results)


def _echo(piece: bytes) -> None:
    sys.stderr.buffer.write(piece)
    sys.stderr.buffer.flush()


async def _interruptible(run: _Run, trials: Sequence[Trial]) -> tuple[Verdict, ...] | None:
    """None when a signal came first."""
    interrupts = Interrupts((signal.SIGINT, signal.SIGTERM))
    with _progress(len(trials), run.verbose) as tell:
        working = asyncio.ensure_future(run.course(trials, tell))
        stopping = asyncio.ensure_future(interrupts.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            stopping.cancel()
            return working.result()
        working.cancel()
        await asyncio.wait((working,))
        return None


@contextmanager
def _progress(total: int, verbose: bool) -> Iterator[Callable[[str], None]]:
    """A bar with the running trial, on a terminal's stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    shown = sys.stderr.isatty() and not verbose
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("", total=total)
        begun = 0

        def tell(name: str) -> None:
            nonlocal begun
            bar.update(task, description=name, completed=begun)
            begun += 1

        yield tell


def _tell(report: Report, options: dict[str, Any]) -> None:
    if options["junit"] is not None:
        write_junit(report, options["junit"], options["fail_on"])
    if options["json_output"]:
        click.echo(json.dumps(as_json(report), indent=2))
        return
    columns = None if sys.stdout.isatty() else PIPE_COLUMNS
    print_report(report, Console(width=columns))


def _cannot_run(command: str, reason: str, status: int) -> int:
    click.echo(f"fakeai-proxy: resilience {command}: {reason}", err=True)
    return status
