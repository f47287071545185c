"""A script for mitmproxy that sets an option while it runs: the query of http://change.test/ says which."""

from __future__ import annotations

from mitmproxy import ctx, exceptions, http


def request(flow: http.HTTPFlow) -> None:
    if flow.request.host != "change.test":
        return
    said = "done"
    try:
        ctx.options.update(**dict(flow.request.query))
    except exceptions.OptionsError as refusal:
        said = str(refusal)
    flow.response = http.Response.make(200, said)
