"""`fakeai-proxy mitm-addon`: where the script lies that mitmproxy loads."""

from __future__ import annotations

from importlib.util import find_spec

import click

from fakeai_proxy.cli.outcome import Outcome, tells_outcome


@click.command("mitm-addon")
@tells_outcome
def mitm_addon() -> Outcome:
    """Print the path of our addon for mitmproxy: mitmdump -s "$(fakeai-proxy mitm-addon)"."""
    found = find_spec("fakeai_proxy.capture.mitmproxy_script")  # looked up, not imported
    assert found is not None, "it is part of the package"
    assert found.origin is not None, "it is a file"
    return Outcome(found.origin, {"script": found.origin})
