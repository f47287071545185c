"""The variables, as real shells understand them and as a real client uses them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakeai_proxy.cli.environment import SHELLS, variables
from tests.cli.conftest import Run, Start

NASTY = '/a b/it\'s "q" $HOME `id` \\ ‘x’ ü\n;#'

#: How each shell is asked to evaluate lines and then to say what a child sees.
INTERPRETERS = {
    "bash": (("bash", "dash", "zsh"), "-c"),
    "fish": (("fish",), "-c"),
    "powershell": (("pwsh", "powershell"), "-Command"),
}
DUMP = f"'{sys.executable}' -c 'import json, os; print(json.dumps(dict(os.environ)))'"


def interpreters() -> list[tuple[str, str]]:
    return [
        (shell, program)
        for shell, (programs, _) in INTERPRETERS.items()
        for program in programs
        if shutil.which(program)
    ]


def seen(shell: str, program: str, lines: str, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a child of a shell that evaluated `lines`."""
    dump = ("& " if shell == "powershell" else "") + DUMP
    done = subprocess.run(
        [program, INTERPRETERS[shell][1], f"{lines}\n{dump}"],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("shell", "program"), interpreters())
def test_quoting_survives_the_shell(shell: str, program: str, environ: dict[str, str]) -> None:
    line = SHELLS[shell].set("FAKEAI_TEST", NASTY)
    assert seen(shell, program, line, environ)["FAKEAI_TEST"] == NASTY


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export N='it'\"'\"'s $x'"),
        ("fish", "set -gx N 'it\\'s $x'"),
        ("powershell", "$Env:N = 'it''s $x'"),
    ],
)
def test_every_shell_is_quoted_in_its_own_way(shell: str, line: str) -> None:
    assert SHELLS[shell].set("N", "it's $x") == line


@pytest.mark.parametrize(("shell", "program"), interpreters())
def test_set_and_unset_in_a_real_shell(
    shell: str, program: str, run: Run, environ: dict[str, str]
) -> None:
    here = {**environ, "NO_PROXY": "intranet.example"}
    lines = run("env", "--shell", shell, "--listen", "127.0.0.1:4711", env=here).stdout
    now = seen(shell, program, lines, here)
    root = Path(environ["XDG_DATA_HOME"]) / "fakeai-proxy/ca/root.pem"
    bundle = root.with_name("bundle.pem")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        assert now[name] == "http://127.0.0.1:4711"
    assert now["NO_PROXY"] == now["no_proxy"] == "localhost,127.0.0.1,::1,intranet.example"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
                 "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):  # fmt: skip
        assert now[name] == str(bundle)
    assert now["NODE_EXTRA_CA_CERTS"] == str(root)
    assert now["NODE_USE_ENV_PROXY"] == "1"
    assert root.read_text() in bundle.read_text()
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 50

    gone = run("env", "--shell", shell, "--unset").stdout
    after = seen(shell, program, lines + gone, here)
    assert not set(after) & set(now) - set(environ)


def test_credentials_are_in_the_proxys_url(run: Run) -> None:
    done = run("env", "--listen", "0.0.0.0:81", "--proxy-auth", "ada:p@ss/word")
    assert "export HTTPS_PROXY=http://ada:p%40ss%2Fword@127.0.0.1:81\n" in done.stdout


def test_the_bundle_keeps_what_was_trusted_before_and_does_not_grow(
    run: Run, tmp_path: Path, environ: dict[str, str]
) -> None:
    ca = Path(environ["XDG_DATA_HOME"]) / "fakeai-proxy/ca"
    company = tmp_path / "company.pem"
    run("ca", "export", str(company), "--data", str(tmp_path / "another"))
    run("env", "--listen", "127.0.0.1:81", env={"REQUESTS_CA_BUNDLE": str(company)})
    first = (ca / "bundle.pem").read_text()
    assert first.split() == (company.read_text() + (ca / "root.pem").read_text()).split()
    run("env", "--listen", "127.0.0.1:81", env={"SSL_CERT_FILE": str(ca / "bundle.pem"),
                                                "REQUESTS_CA_BUNDLE": str(company)})  # fmt: skip
    assert (ca / "bundle.pem").read_text() == first


@pytest.mark.parametrize(
    ("kept", "intercepted", "direct"),
    [
        ("", (), "localhost,127.0.0.1,::1"),
        ("*", ("api.openai.com",), "localhost,127.0.0.1,::1"),
        ("openai.com, .corp.example", ("api.openai.com",), "localhost,127.0.0.1,::1,.corp.example"),
        (".azure.com", ("*.openai.azure.com",), "localhost,127.0.0.1,::1"),
        ("", ("127.0.0.1",), "localhost,::1"),
    ],
)
def test_no_proxy_never_hides_an_intercepted_host(
    kept: str, intercepted: tuple[str, ...], direct: str
) -> None:
    values = variables("http://p", Path("r"), Path("b"), intercepted, {"NO_PROXY": kept})
    assert values["NO_PROXY"] == direct


def test_a_free_port_cannot_be_told_beforehand(run: Run) -> None:
    done = run("env", "--listen", "127.0.0.1:0")
    assert done.returncode == 2
    assert "fakeai-proxy run" in done.stderr


def test_curl_goes_through_it_after_eval(program: Start, run: Run, environ: dict[str, str]) -> None:
    started = program()
    lines = run("env", "--listen", started.url.removeprefix("http://")).stdout
    command = 'curl -sS https://api.openai.com/v1/models -H "Authorization: Bearer any"'
    done = subprocess.run(
        ["bash", "-c", lines + command], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["object"] == "list"
    assert started.event("exchange")["host"] == "api.openai.com"
