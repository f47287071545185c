"""What is published: built from the sdist, installed into an empty environment, and run there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import fakeai_proxy

ROOT = Path(__file__).resolve().parent.parent.parent
#: Downloads every dependency.
pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


def _clean() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FAKEAI_PROXY_", "PYTHONPATH"))
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """From a copy: a build leaves traces. The wheel is built from the sdist, as by whoever packages
    it again."""
    copy, out = tmp_path_factory.mktemp("source") / "it", tmp_path_factory.mktemp("dist")
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".*_cache", ".venv", ".git", "__pycache__")
    )
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(copy)],
        env=_clean(), check=True, capture_output=True,
    )  # fmt: skip
    return Built(next(out.glob("*.tar.gz")), next(out.glob("*.whl")))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and its dependencies, nothing else."""
    home = tmp_path_factory.mktemp("empty") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
    subprocess.run(
        [str(home / "bin/python"), "-m", "pip", "install", "--quiet", str(built.wheel)],
        env=_clean(), check=True, capture_output=True,
    )  # fmt: skip
    return home / "bin"


def test_the_wheel_holds_profiles_cassettes_types_and_licence(built: Built) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    assert "fakeai_proxy/py.typed" in names
    assert "fakeai_proxy/_shipped/profiles/fleets/quick.toml" in names
    assert [name for name in names if name.startswith("fakeai_proxy/_shipped/cassettes/")]
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    dashboard = "fakeai_proxy/observe/dashboard/"
    assert {f"{dashboard}{name}" for name in ("index.html", "main.js", "vendor/uplot.js")} <= set(
        names
    )
    assert len([name for name in names if name.startswith(f"{dashboard}vendor/LICENSE-")]) == 3
    assert not [name for name in names if name.startswith("tests/")]


def test_the_sdist_holds_what_its_tests_need(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = {
        "LICENSE", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "Makefile", ".ci/run",
        "pyproject.toml", "tests/conftest.py", "profiles/catalogue/openai.toml",
    } - names  # fmt: skip
    assert not missing


def test_the_installed_program_tells_its_version(installed: Path) -> None:
    said = subprocess.run(
        [str(installed / "fakeai-proxy"), "--version"],
        env=_clean(), check=True, capture_output=True, text=True, cwd=installed,
    )  # fmt: skip
    assert said.stdout == f"fakeai-proxy {fakeai_proxy.__version__}\n"


def test_the_installed_program_serves(installed: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(installed / "fakeai-proxy"), "--listen", "127.0.0.1:0", "--data", str(tmp_path)],
        env=_clean(), stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        request = urllib.request.Request(
            ready["url"] + "/v1/models", headers={"Authorization": "Bearer any"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as reply:
            assert json.loads(reply.read())["object"] == "list"
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


def test_the_installed_program_finds_what_was_shipped(installed: Path) -> None:
    script = (
        "from fakeai_proxy.profiles import shipped\n"
        "print(shipped('profiles'))\n"
        "print(*(entry.name for entry in shipped('cassettes').iterdir()))\n"
    )
    said = subprocess.run(
        [str(installed / "python"), "-c", script],
        env=_clean(), check=True, capture_output=True, text=True, cwd=installed,
    )  # fmt: skip
    profiles, cassettes = said.stdout.splitlines()
    assert profiles.startswith(str(installed.parent))
    assert cassettes


def test_the_installed_program_names_the_addon_that_mitmproxy_loads(installed: Path) -> None:
    said = subprocess.run(
        [str(installed / "fakeai-proxy"), "mitm-addon"],
        env=_clean(), check=True, capture_output=True, text=True, cwd=installed,
    )  # fmt: skip
    script = Path(said.stdout.removesuffix("\n"))
    assert script.is_relative_to(installed.parent)
    assert "addons = [" in script.read_text("utf-8")


def test_the_installed_plugin_is_found_by_pytest(installed: Path, tmp_path: Path) -> None:
    """By its entry point, and without compiling the whole package anew for its asserts."""
    subprocess.run(
        [str(installed / "python"), "-m", "pip", "install", "--quiet", "pytest"],
        env=_clean(), check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "test_it.py").write_text(
        "import pytest, fakeai_proxy\n"
        "@pytest.mark.cassette(mode='synth')\n"
        "def test_it(fakeai):\n"
        "    import fakeai_proxy.app as app\n"
        "    assert type(app.__loader__).__name__ == 'SourceFileLoader'\n"
        "    fakeai.calls.assert_not_called()\n"
    )
    for named in ((), ("-p", "fakeai_proxy.pytest_plugin")):
        said = subprocess.run(
            [str(installed / "python"), "-m", "pytest", "--strict-markers", *named],
            env={**_clean(), "XDG_DATA_HOME": str(tmp_path)}, check=False, capture_output=True,
            text=True, cwd=tmp_path,
        )  # fmt: skip
        assert said.returncode == 0, said.stdout + said.stderr
        assert f"fakeai-proxy-{fakeai_proxy.__version__}" in said.stdout
