"""The command line."""

from fakeai_proxy.cli.main import main

__all__ = ["main"]
