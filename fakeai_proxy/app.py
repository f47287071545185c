"""The composition root: the one file that knows every concrete class."""

from __future__ import annotations

import asyncio

from aiohttp import web

from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import no_upstream
from fakeai_proxy.exchange import Request
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.profiles import load_hosted
from fakeai_proxy.proxy.gateway import Gateway
from fakeai_proxy.proxy.policy import Policy, PolicySettings
from fakeai_proxy.proxy.wire import Connection
from fakeai_proxy.services import ROOMS
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings, Scheduler
from fakeai_proxy.sources.synth import Synth, SynthSettings


async def serve(port: int) -> None:
    clock: Clock = SystemClock()
    dice = Dice(0)
    scheduler = Scheduler(clock)
    synth = Synth(
        SynthSettings(),
        [operation for room in ROOMS.values() for operation in room],
        Catalogue.shipped(CatalogueSettings()),
        clock,
        dice,
    )
    pacer = Pacer(PacingSettings(), load_hosted("quick"), scheduler, clock, dice)
    pipeline = Pipeline(synth, pacer, clock)

    async def relay(raw: web.BaseRequest, request: Request) -> web.StreamResponse:
        raise no_upstream(request.method, request.target)

    gateway = Gateway(
        pipeline,
        pipeline,
        Policy(PolicySettings()),
        lambda request: (200, b"application/json", b"{}"),
        relay,
        clock,
        dice,
    )
    server = web.Server(gateway.handle, handler_cancellation=True)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(
            server, clock.now, None, access_log=None, auto_decompress=False,
            max_line_size=65536, max_field_size=65536,
        ),
        "127.0.0.1",
        port,
    )  # fmt: skip
    await listener.serve_forever()
