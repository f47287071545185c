"""What we need of aiohttp's server. `aiohttp.web` is all of it, with a router, a server of files and a
command line, for which a start would wait."""

from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server
from aiohttp.web_ws import WebSocketResponse

__all__ = [
    "BaseRequest", "HTTPException", "RequestHandler", "RequestPayloadError", "Response", "Server",
    "StreamResponse", "WebSocketResponse",
]  # fmt: skip
