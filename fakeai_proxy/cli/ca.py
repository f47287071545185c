"""`fakeai-proxy ca`: see, copy and replace the certificate authority of this installation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fakeai_proxy.cli.environment import open_authority
from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.policy import Policy


@click.group()
def ca() -> None:
    """The certificate authority that intercepted TLS is signed with.

    It is made on first use, may sign for the intercepted hosts only, and is installed nowhere:
    `env` and `run` point programs at it.
    """


@with_settings
@ca.command()
@click.pass_context
@tells_outcome
def path(ctx: click.Context, /, **_: object) -> Outcome:
    """Print where the root certificate lies."""
    file = str(open_authority(load(ctx)).root_path)
    return Outcome(file, {"file": file})


@with_settings
@ca.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def show(ctx: click.Context, /, as_json: bool, **_: object) -> int:
    """Print what the root certificate is and which hosts it may sign for."""
    authority = open_authority(load(ctx))
    root = authority.root
    told = {
        "subject": root.subject.rfc4514_string(),
        "file": str(authority.root_path),
        "valid_until": f"{datetime.fromtimestamp(authority.expires_at, UTC):%Y-%m-%d}",
        "sha256": root.fingerprint(hashes.SHA256()).hex(":").upper(),
    }
    hosts = _permitted(root)
    if as_json:
        click.echo(json.dumps({**told, "signs_for": hosts}, indent=2))
        return 0
    for name, value in told.items():
        click.echo(f"{name.replace('_', ' '):<13}{value}")
    click.echo(f"signs for    {', '.join(hosts)}, and what is below them")
    return 0


def _permitted(root: x509.Certificate) -> list[str]:
    constraints = root.extensions.get_extension_for_class(x509.NameConstraints).value
    return [str(name.value) for name in constraints.permitted_subtrees or ()]


@with_settings
@ca.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
@tells_outcome
def export(ctx: click.Context, /, file: Path | None, **_: object) -> Outcome:
    """Write the root certificate (PEM) to FILE, or print it."""
    pem = open_authority(load(ctx)).root_pem
    if file is None:
        return Outcome(pem.decode().rstrip("\n"), {"pem": pem.decode()})
    file.write_bytes(pem)
    text = f"{file}: the root certificate. Clients that shall trust it are told so with it."
    return Outcome(text, {"file": str(file)})


@with_settings
@ca.command()
@click.pass_context
@tells_outcome
def create(ctx: click.Context, /, **_: object) -> Outcome:
    """Make a new authority in place of the present one, for the known hosts and each --intercept.

    Needed when a host is added. Every client must be pointed at the new root: run `env` again.
    """
    config = load(ctx)
    authority = Authority.create(config.ca_dir, Policy(config).intercepted, SystemClock().wall)
    text = f"{authority.root_path}: a new root. Shells that hold the old one need `env` again."
    return Outcome(
        text, {"file": str(authority.root_path), "signs_for": _permitted(authority.root)}
    )
