"""Faults that answer instead of the back end, or never do."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from pydantic import Field

from fakeai_proxy.errors import StreamCut
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.shaping.faults import vendor
from fakeai_proxy.shaping.faults.kinds import Case, Fault, Params


class Status(Params):
    code: int = Field(500, ge=400, le=599, description="The status.")
    message: str | None = Field(
        None, description="The error's message; the vendor's own otherwise."
    )
    retry_after_s: float | None = Field(None, ge=0, description="Sent as Retry-After.")


async def _status(params: Status, case: Case) -> Reply | None:
    raise vendor.error_of_status(params.code, params.message, params.retry_after_s)


class Overloaded(Params):
    retry_after_s: float | None = Field(None, ge=0, description="Sent as Retry-After.")


async def _overloaded(params: Overloaded, case: Case) -> Reply | None:
    error = vendor.overloaded(case.provider)
    if params.retry_after_s is not None:
        error.headers["retry-after"] = f"{params.retry_after_s:g}"
    raise error


class Page(Params):
    code: int = Field(502, ge=200, le=599, description="The status that comes with the page.")


async def _page(params: Page, case: Case) -> Reply | None:
    said = (
        f"{params.code} {HTTPStatus(params.code).phrase}" if params.code in _KNOWN else params.code
    )
    page = (
        f"<html>\r\n<head><title>{said}</title></head>\r\n<body>\r\n<h1>{said}</h1>\r\n"
        "<hr>gateway\r\n</body>\r\n</html>\r\n"
    )
    return _made(params.code, b"text/html", page.encode())


_KNOWN = frozenset(HTTPStatus)


class Empty(Params):
    code: int = Field(200, ge=200, le=599, description="The status that comes with nothing.")


async def _empty(params: Empty, case: Case) -> Reply | None:
    return _made(params.code, b"application/json", b"")


class Redirect(Params):
    code: int = Field(307, ge=301, le=308, description="The status of the redirection.")


async def _redirect(params: Redirect, case: Case) -> Reply | None:
    request = case.exchange.request
    reply = _made(params.code, b"text/plain", b"")
    reply.headers += ((b"location", request.target.encode("utf-8", "surrogateescape")),)
    return reply


class Hang(Params):
    s: float | None = Field(
        None, gt=0, description="Seconds until the connection is closed; for ever otherwise."
    )


async def _hang(params: Hang, case: Case) -> Reply | None:
    if params.s is None:
        await asyncio.get_running_loop().create_future()  # until the client leaves
    else:
        await case.until(case.exchange.arrived_at + params.s)
    raise StreamCut("a fault said nothing", "timeout")


class HangUp(Params):
    pass


async def _hang_up(params: HangUp, case: Case) -> Reply | None:
    raise StreamCut("a fault hung up")


def _made(status: int, content_type: bytes, body: bytes) -> Reply:
    headers = ((b"content-type", content_type), (b"content-length", b"%d" % len(body)))
    return Reply(status, headers, [Chunk(body)], provenance=vendor.MADE)


FAULTS = (
    Fault("status", "Answers with an error status, in the vendor's envelope; a bare number is short for it",
          Status, "status:code=503,retry_after_s=2,first=2", before=_status),
    Fault("overloaded", "Answers as the vendor does when it has no room: 529 of Anthropic, else 503",
          Overloaded, "overloaded:p=0.1", before=_overloaded),
    Fault("html", "Answers with the HTML error page of a gateway, where JSON is expected",
          Page, "html:code=502,every=10", before=_page),
    Fault("empty", "Answers with a success and no body at all", Empty, "empty:p=0.01", before=_empty),
    Fault("redirect", "Redirects to the same URL, as often as it is asked for",
          Redirect, "redirect:path=/v1/models*", before=_redirect),
    Fault("hang", "Takes the request and says nothing", Hang, "hang:s=30,p=0.01", before=_hang),
    Fault("hang_up", "Closes the connection without an answer", HangUp, "hang_up:first=1",
          before=_hang_up),
)  # fmt: skip
