"""The plugin for pytest: `@pytest.mark.cassette` gives a test a server that replays its recordings.

A run without the mark meets nothing but these hooks: what serves and records is imported for the
first test that has it.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fakeai_proxy.pytest_plugin.marks import ALLOW_HOSTS, CASSETTES, MARK, SETTINGS, asked
from fakeai_proxy.pytest_plugin.verdict import Verdict

if TYPE_CHECKING:
    from fakeai_proxy.embedded.server import Server
    from fakeai_proxy.pytest_plugin.stage import Run, Stage

Result = TypeVar("Result")
#: A hook around others: what it is sent is their result.
Around = Generator[None, Result, Result]

_RUN = pytest.StashKey["Run"]()
_STAGE = pytest.StashKey["Stage"]()
#: What the processes of pytest-xdist have together, and how they are told of it.
_FOLDER = pytest.StashKey["TemporaryDirectory[str]"]()
_FOLDER_INPUT = "fakeai_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fakeai-proxy", "recorded LLM APIs")
    group.addoption(
        "--fakeai-record",
        choices=("none", "once", "new", "all"),
        default="none",
        help="What may be recorded by tests with a cassette: none, where there is no cassette yet "
        "(once), what a cassette is lacking (new), or everything again (all).",
    )
    group.addoption(
        "--fakeai-strict",
        action="store_true",
        help="Fail where a cassette holds recordings that nobody asked for.",
    )
    group.addoption(
        "--fakeai-report",
        metavar="FILE.json",
        help="Write what was replayed, recorded, missed and unused, and the dollars, into this file.",
    )
    parser.addini(
        CASSETTES, "Folder of the cassettes. Default: `cassettes` beside each test module."
    )
    parser.addini(
        ALLOW_HOSTS, "HOST or HOST:PORT that tests with a cassette may reach.", "args", []
    )
    parser.addini(SETTINGS, "Settings of all cassettes, NAME = VALUE.", "linelist", [])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(name=None, *, proxy=False, allow_hosts=(), **settings): answer the test's LLM "
        "requests from a cassette of its own; settings are those of fakeai-proxy, such as "
        "match='agent'.",
    )
    _keep_compiled(config)
    config.pluginmanager.register(Collector(config), "fakeai-proxy-verdict")


def _keep_compiled(config: pytest.Config) -> None:
    """pytest compiles every module of a distribution with a plugin anew, for its asserts. We have
    hundreds, and no assert in them that a user wants explained."""
    hook = config.pluginmanager.rewrite_hook
    marked, decided = (
        getattr(hook, name, None) for name in ("_must_rewrite", "_marked_for_rewrite_cache")
    )
    if isinstance(marked, set) and isinstance(decided, dict):
        marked.discard("fakeai_proxy")
        decided.clear()


@pytest.fixture
def fakeai(request: pytest.FixtureRequest) -> Server:
    """The server of this test: `url`, `base_url`, and `calls`, what it was asked."""
    stage: Stage = request.node.stash[_STAGE]
    return stage.server


# --- one test


def pytest_runtest_setup(item: pytest.Item) -> None:
    """After marks that skip, before all fixtures."""
    wanted = asked(item)
    if wanted is None:
        return
    from fakeai_proxy.errors import FakeAIError
    from fakeai_proxy.pytest_plugin.stage import Stage

    try:
        stage = Stage(wanted, _run(item.config))
        stage.open()
    except FakeAIError as error:
        pytest.fail(f"cassette: {error}", pytrace=False)
    item.stash[_STAGE] = stage


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Around[Any]:
    _complain(item)  # of its fixtures
    result = yield
    _complain(item)
    stage = item.stash.get(_STAGE, None)
    if stage is not None and (unused := stage.unused()):
        pytest.fail(unused, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Around[Any]:
    stage = item.stash.get(_STAGE, None)
    if stage is None:
        return (yield)
    from fakeai_proxy.errors import FakeAIError

    try:
        result = yield
        _complain(item)
    finally:
        try:
            stage.close()
        except FakeAIError as error:
            pytest.fail(f"cassette: {error}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Around[pytest.TestReport]:
    report = yield
    stage = item.stash.get(_STAGE, None)
    if stage is None:
        return report
    if report.when == "call":
        stage.passed = report.passed or hasattr(report, "wasxfail")
    if report.failed:
        report.sections += stage.sections()
    if report.when == "teardown":
        # In its dict it travels between the processes of pytest-xdist.
        report.__dict__["fakeai"] = asdict(stage.told)
        del item.stash[_STAGE]
    return report


def _complain(item: pytest.Item) -> None:
    """A request that was not on the cassette fails the test, whatever its client made of that."""
    stage = item.stash.get(_STAGE, None)
    complaint = "" if stage is None else stage.complaint()
    if complaint:
        pytest.fail(complaint, pytrace=False)


# --- the run


def _run(config: pytest.Config) -> Run:
    if _RUN not in config.stash:
        from fakeai_proxy.pytest_plugin.stage import Run

        config.stash[_RUN] = Run(
            config.getoption("--fakeai-record"),
            config.getoption("--fakeai-strict"),
            getattr(config, "workerinput", {}).get(_FOLDER_INPUT),
        )
    return config.stash[_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of pytest-xdist, in the process that starts the others."""
    stash = node.config.stash
    if _FOLDER not in stash:
        stash[_FOLDER] = TemporaryDirectory(prefix="fakeai-proxy-")
    node.workerinput[_FOLDER_INPUT] = stash[_FOLDER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FOLDER in config.stash:
        config.stash[_FOLDER].cleanup()
        del config.stash[_FOLDER]
    if _RUN in config.stash:
        config.stash[_RUN].close()
        del config.stash[_RUN]


class Collector:
    """Hears all reports; with pytest-xdist in the process that runs no test itself."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._verdict = Verdict()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = getattr(report, "fakeai", None)
        if told is not None:
            self._verdict.add(told)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        is_worker = hasattr(self._config, "workerinput")
        file = self._config.getoption("--fakeai-report")
        if file and not is_worker:
            told = self._verdict.as_json(str(self._config.invocation_params.dir))
            Path(file).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        strict = self._config.getoption("--fakeai-strict") and not is_worker
        if strict and self._verdict.is_unused_shared and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._verdict:
            terminalreporter.section("fakeai-proxy", sep="-")
            for line in self._verdict.lines(str(self._config.invocation_params.dir)):
                terminalreporter.write_line(line)
