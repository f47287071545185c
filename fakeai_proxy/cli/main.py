"""Commands."""

import asyncio
import os

from fakeai_proxy.app import App
from fakeai_proxy.config import Config


async def _serve() -> None:
    app = App(Config.load(environ=os.environ))
    await app.start()
    print(app.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    asyncio.run(_serve())
