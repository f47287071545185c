"""Every example runs as it stands, says what it promises, is short, and is in the table of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fakeai_proxy
from fakeai_proxy.config import ENVIRONMENT_PREFIX, Config
from tests.doubles.program import ROOT, bare_environment

FOLDER = ROOT / "examples"
#: Load tests want a client that is no dependency of ours.
LOAD_TEST = FOLDER / "load_test.py"
TESTS = sorted(FOLDER.glob("test_*.py"))
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if path not in (LOAD_TEST, *TESTS)]
LINES_MAX = 40
#: Name -> what its output must contain.
PROMISES = {
    "agent_what_if": (
        "recorded: LIVE LIVE LIVE ",
        "replayed: HIT HIT HIT ",
        "what if:  HIT LIVE LIVE ",
    ),
    "https_proxy": ("asked:    https://api.openai.com/v1/", "answered: "),
    "in_your_tests": (
        "0 HIT, 1 NEW, 0 STALE, 0 MISS, 0 UNUSED",
        "1 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED",
    ),
    "put_answers_ready": ("-> Hello from gpt-5-mini", '-> {"number":42}', "five words -> "),
    "record_then_replay": ("recorded: ", "replayed: the same chatcmpl-"),
    "resilient_client": (
        "429-retry-after good honoured_retry_after",
        "truncated bad broken_taken_for_whole",
    ),
    "serve_and_ask": ("likeness: 0.",),
    "size_a_fleet": ("4 GPUs: ", "too few", "$14,600 a month", "take 8 GPUs"),
    "staging_https_proxy": ("recorded: api.openai.com said chatcmpl-", "the same: True"),
    "watch_a_run": (
        "the client saw: 503",
        "journal: 503",
        "journal: 200 gpt-4o",
        "verified: exactly 1",
    ),
}


def test_a_load_test_without_a_client_says_how_it_is_run() -> None:
    done = subprocess.run(
        [sys.executable, str(LOAD_TEST)], text=True, capture_output=True, timeout=60, check=False,
        env=bare_environment(PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "python examples/load_test.py aiperf/bin/aiperf" in done.stderr


def ran(*command: object, folder: Path, **variables: str) -> str:
    """What it says; a failure of its is one of the test."""
    environ = bare_environment(PYTHONPATH=str(ROOT), XDG_DATA_HOME=str(folder)) | variables
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, text=True, capture_output=True, timeout=110,
        env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    said = ran(sys.executable, example, folder=tmp_path)
    for promise in PROMISES[example.stem]:
        assert promise in said, said


def test_examples_that_are_tests_pass(tmp_path: Path) -> None:
    plain = ("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tmp_path)
    said = ran(sys.executable, "-m", "pytest", *plain, *TESTS, folder=tmp_path)
    assert "3 passed" in said


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") < LINES_MAX
    assert text.startswith('"""')


def test_each_example_is_in_the_table() -> None:
    table = (FOLDER / "README.md").read_text("utf-8")
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] not in "._"}
    examples = {path.name for path in FOLDER.glob("*.py")} | {f"{name}/" for name in folders}
    assert set(re.findall(r"^\| \[([^\]]+)\]\(", table, re.M)) == examples


def test_the_project_for_ci_passes_as_its_workflow_runs_it(tmp_path: Path) -> None:
    """But for the installation, which is that of the tests."""
    copy = tmp_path / "project"
    shutil.copytree(FOLDER / "ci", copy, ignore=shutil.ignore_patterns("__pycache__"))
    (workflow,) = (copy / ".github" / "workflows").glob("*.yaml")
    jobs = yaml.safe_load(workflow.read_text("utf-8"))["jobs"]
    steps = [step["run"] for step in jobs["replay"]["steps"] if "run" in step]
    install, *commands = steps
    assert "pip install" in install
    assert len(commands) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plugin = (
        "-p fakeai_proxy.pytest_plugin -p no:cacheprovider"  # as its installation would load it
    )
    tested, looked = (
        ran("bash", "-e", "-c", command, folder=copy, PATH=path, PYTEST_ADDOPTS=plugin)
        for command in commands
    )
    assert "2 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED" in tested, tested
    assert "2 passed" in tested
    assert looked.count("no damage and no secrets") == 2, looked
    recording = jobs["record"]["steps"][-2]
    assert recording["env"] == {"OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}"}
    assert recording["run"].startswith("python -m pytest --fakeai-record=")


KUBERNETES = FOLDER / "kubernetes"


def test_what_kubernetes_is_told_is_there() -> None:
    """Files, names of objects, settings and their values, as in `deploy/`."""
    text = (KUBERNETES / "README.md").read_text("utf-8")
    applied = re.findall(r"-f (\S+\.yaml)", text)
    kept = {
        f"deploy/kubernetes/{path.name}" for path in (ROOT / "deploy/kubernetes").glob("*.yaml")
    }
    assert kept - {"deploy/kubernetes/secret.example.yaml"} <= set(applied)
    assert all((ROOT / path).exists() for path in applied if path != "secret.yaml")
    patch = re.search(r"--patch '(.*)'", text)
    assert patch is not None
    data = yaml.safe_load(patch[1])["data"]
    assert all(name.startswith(ENVIRONMENT_PREFIX) for name in data)
    Config.load(environ=data)


def test_the_client_in_kubernetes_asks_the_service_that_there_is(tmp_path: Path) -> None:
    job = yaml.safe_load((KUBERNETES / "client.yaml").read_text("utf-8"))
    service = yaml.safe_load((ROOT / "deploy/kubernetes/service.yaml").read_text("utf-8"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["OPENAI_BASE_URL"] == f"http://{service['metadata']['name']}/v1"
    assert service["spec"]["ports"][0]["port"] == 80
    with fakeai_proxy.serve(mode="synth", profile="none") as server:
        variables["OPENAI_BASE_URL"] = server.base_url
        command = [*container["command"], *container["args"]]
        said = ran(*command, folder=tmp_path, **variables)
    assert said.rstrip().endswith("data: [DONE]")
