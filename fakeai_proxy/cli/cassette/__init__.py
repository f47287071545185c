"""`fakeai-proxy cassette ...`: looking into recordings, checking, packing and exchanging them."""

from __future__ import annotations

import click

from fakeai_proxy.cli.cassette.exchanging import bring, put
from fakeai_proxy.cli.cassette.listing import grep, ls, stats
from fakeai_proxy.cli.cassette.packing import gc, merge, pack, rekey, seal, split, unpack
from fakeai_proxy.cli.cassette.showing import show
from fakeai_proxy.cli.cassette.verifying import scrub, verify


@click.group()
def cassette() -> None:
    """Look into recordings, check them, pack them, exchange them."""


for _command in (ls, show, grep, stats, verify, scrub, seal, pack, unpack, merge, split, rekey, gc,
                 bring, put):  # fmt: skip
    cassette.add_command(_command)
