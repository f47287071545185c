"""`fakeai-proxy cassette ...`: looking into recordings, checking, packing and exchanging them."""

from __future__ import annotations

import click

from fakeai_proxy.cli.cassette.comparing import diff
from fakeai_proxy.cli.cassette.editing import cat, edit, init_git
from fakeai_proxy.cli.cassette.exchanging import bring, put
from fakeai_proxy.cli.cassette.forking import fork
from fakeai_proxy.cli.cassette.listing import grep, ls, stats
from fakeai_proxy.cli.cassette.packing import gc, merge, pack, rekey, rm, seal, split, unpack
from fakeai_proxy.cli.cassette.playing import play
from fakeai_proxy.cli.cassette.rechecking import recheck
from fakeai_proxy.cli.cassette.serving import serve
from fakeai_proxy.cli.cassette.showing import show
from fakeai_proxy.cli.cassette.verifying import anonymize, scrub, verify


@click.group()
def cassette() -> None:
    """Look into recordings, check them, pack them, exchange them."""


_COMMANDS = (
    ls, show, play, serve, grep, stats, diff, recheck, verify, scrub, anonymize, edit, fork, cat, seal,
    pack, unpack, merge, split, rekey, rm, gc, bring, put, init_git,
)  # fmt: skip
for _command in _COMMANDS:
    cassette.add_command(_command)
