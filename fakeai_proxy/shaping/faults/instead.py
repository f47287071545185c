"""Faults that answer instead of the back end, or never do."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Any

from pydantic import Field

from fakeai_proxy.errors import KINDS, StreamCut, of_kind, of_status
from fakeai_proxy.exchange import FAULT, Chunk, Reply
from fakeai_proxy.shaping.faults.kinds import Case, Fault, Kind, Params
from fakeai_proxy.shaping.faults.rule import model_of


class Waiting(Params):
    """Of an error that a client may wait out."""

    retry_after_s: float | None = Field(None, ge=0, description="Sent as Retry-After.")

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"retry-after": f"{self.retry_after_s:g}"}

    def facts(self, case: Case) -> dict[str, Any]:
        """What the vendor's sentences may name."""
        request, s = case.exchange.request, self.retry_after_s
        known: dict[str, Any] = {"method": request.method, "path": request.path}
        if model := model_of(request):
            known["model"] = model
        if s is not None:
            known |= {
                "retry_after_s": math.ceil(s),
                "retry_after_ms": round(s * 1000),
                "wait": f"{s:g}s",
            }
        return known


class Status(Waiting):
    code: int = Field(500, ge=400, le=599, description="The status.")
    message: str | None = Field(
        None, description="The error's message; the vendor's own otherwise."
    )


async def _status(params: Status, case: Case) -> Reply | None:
    raise of_status(params.code, params.message, headers=params.headers(), **params.facts(case))


class OfKind(Waiting):
    kind: Kind = Field("overloaded", description="Which one: " + ", ".join(KINDS) + ".")
    message: str | None = Field(
        None, description="The error's message; the vendor's own otherwise."
    )


async def _error(params: OfKind, case: Case) -> Reply | None:
    raise of_kind(params.kind, params.message, headers=params.headers(), **params.facts(case))


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
    return Reply(status, headers, [Chunk(body)], provenance=FAULT)


FAULTS = (
    Fault("status", "Answers with an error status, in the vendor's envelope; a bare number is short for it",
          Status, "status:code=503,retry_after_s=2,first=2", before=_status),
    Fault("error", "Answers with an error by its kind, with the status and the words that the vendor has "
          "for it", OfKind, "error:kind=quota,key=sk-broke*", before=_error),
    Fault("html", "Answers with the HTML error page of a gateway, where JSON is expected",
          Page, "html:code=502,every=10", before=_page),
    Fault("empty", "Answers with a success and no body at all", Empty, "empty:p=0.01", before=_empty),
    Fault("redirect", "Redirects to the same URL, as often as it is asked for",
          Redirect, "redirect:path=/v1/models*", before=_redirect),
    Fault("hang", "Takes the request and says nothing", Hang, "hang:s=30,p=0.01", before=_hang),
    Fault("hang_up", "Closes the connection without an answer", HangUp, "hang_up:first=1",
          before=_hang_up),
)  # fmt: skip
