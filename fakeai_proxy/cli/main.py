"""Commands."""

import asyncio

from fakeai_proxy.app import serve


def main() -> None:
    asyncio.run(serve(8000))
