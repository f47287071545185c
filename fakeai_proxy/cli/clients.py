"""The HTTP clients that `doctor` knows: how each fetches a page, and what helps when it cannot.

A script gets the page's URL as its argument, prints the page, and ends with 77 when its client is
not installed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

_PYTHON = """\
import asyncio, json, sys
try:
    import {module} as client
except ImportError:
    sys.exit(77)
url = sys.argv[1]
{code}
print(body)
"""

_AIOHTTP = """\
async def ask():
    async with client.ClientSession(trust_env=True) as session, session.get(url) as reply:
        return await reply.text()
body = asyncio.run(ask())"""

_SDK = """\
sdk = client.{name}(api_key="any", max_retries=0, timeout=20)
body = json.dumps(sdk.get(url, cast_to=object))"""

_WEBSOCKETS = """\
from websockets.sync.client import connect
if int(client.__version__.partition(".")[0]) < 15:
    sys.exit("websockets " + client.__version__ + " knows no proxies")
try:
    connect("wss" + url.removeprefix("https"), open_timeout=20)
except client.exceptions.InvalidStatus as refusal:
    body = refusal.response.body.decode()"""

_URLLIB = """\
import urllib.request
body = urllib.request.urlopen(url, timeout=20).read().decode()"""

#: Node takes HTTPS_PROXY from NODE_USE_ENV_PROXY since 22.21 and 24.0; an older one would go out
#: to the real host, so it is not asked.
_NODE = """\
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || major === 23 || (major === 22 && minor < 21)) {
  console.error(`Node ${process.versions.node} has no NODE_USE_ENV_PROXY`)
  process.exit(1)
}
fetch(process.argv[1]).then(reply => reply.text()).then(console.log, failure => {
  console.error(String(failure.cause ?? failure))
  process.exit(1)
})"""

_CERTIFICATE_ADVICE = (
    "It does not trust the proxy's certificate: its store is not taken from the environment. Give it "
    "the bundle by hand; its path is in SSL_CERT_FILE of `fakeai-proxy env`."
)
_PROXY_ADVICE = (
    "It did not reach the proxy through HTTPS_PROXY: is a proxy set in its own configuration or the "
    "host in NO_PROXY? As a base URL the proxy works without it."
)


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    #: (python, url) -> command line, or None when the program is not there.
    command: Callable[[str, str], list[str] | None]
    host: str = "api.openai.com"
    #: What helps when nothing more particular is known.
    advice: str = _PROXY_ADVICE


def _python(module: str, code: str) -> Callable[[str, str], list[str] | None]:
    script = _PYTHON.format(module=module, code=code)
    return lambda python, url: [python, "-c", script, url]


def _program(name: str, *arguments: str) -> Callable[[str, str], list[str] | None]:
    def command(python: str, url: str) -> list[str] | None:
        program = shutil.which(name)
        return None if program is None else [program, *arguments, url]

    return command


CLIENTS = (
    Client("curl", _program("curl", "-sS", "--max-time", "20")),
    Client("python urllib", _python("urllib", _URLLIB)),
    Client("python requests", _python("requests", "body = client.get(url, timeout=20).text")),
    Client("python httpx", _python("httpx", "body = client.get(url, timeout=20).text")),
    Client("python aiohttp", _python("aiohttp", _AIOHTTP), advice="It needs "
           "ClientSession(trust_env=True)."),
    Client("openai SDK", _python("openai", _SDK.format(name="OpenAI"))),
    Client("anthropic SDK", _python("anthropic", _SDK.format(name="Anthropic")), "api.anthropic.com"),
    Client("python websockets", _python("websockets", _WEBSOCKETS), advice="It takes HTTPS_PROXY "
           "from the environment since version 15."),
    Client("node fetch", _program("node", "-e", _NODE, "--"), advice="Use Node 22.21, 24 or later; "
           "else OPENAI_BASE_URL, or undici's ProxyAgent."),
)  # fmt: skip


def advice(client: Client, errors: str) -> str:
    """What to do about a client that failed with `errors`."""
    seen = errors.lower()
    if "certificate" in seen and ("verify" in seen or "issuer" in seen or "trust" in seen):
        return _CERTIFICATE_ADVICE
    return client.advice


def python_path() -> str:
    """The Python of the user's programs: on PATH before the one that runs us, which may live in an
    environment of our own."""
    return shutil.which("python3") or shutil.which("python") or sys.executable
