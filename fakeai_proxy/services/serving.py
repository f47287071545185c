"""How servers of one's own tell that they serve, and what: vLLM's and NIM's paths."""

from __future__ import annotations

from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply

#: The releases whose surface this is (docs.vllm.ai, docs.nvidia.com/nim).
VLLM_VERSION = "0.11.0"
NIM_RELEASE, NIM_API = "1.8.0", "1.0"


def ping(call: Call) -> Reply:
    """200 and nothing else, as vLLM."""
    return Reply(200, ((b"content-length", b"0"),), [Chunk(b"")])


def version(call: Call) -> Reply:
    return json_reply({"version": VLLM_VERSION})


def nim_ready(call: Call) -> Reply:
    return json_reply({"object": "health.response", "message": "Service is ready."})


def nim_live(call: Call) -> Reply:
    return json_reply({"object": "health.response", "message": "Service is live."})


def nim_version(call: Call) -> Reply:
    return json_reply({"release": NIM_RELEASE, "api": NIM_API})


def nim_metadata(call: Call) -> Reply:
    """Of every model that is served."""
    models = [
        {"modelUrl": f"ngc://{card.id}", "shortName": card.id.rpartition("/")[2]}
        for card in call.catalogue
    ]
    body = {
        "version": NIM_RELEASE, "repository_override": "", "assetInfo": [], "licenseInfo": {},
        "modelInfo": models,
    }  # fmt: skip
    return json_reply(body)


OPERATIONS = (
    Operation("vllmPing", "GET", "/ping", ping, at_root=True, keyless=True),
    Operation("vllmPingPost", "POST", "/ping", ping, at_root=True, keyless=True),
    Operation("vllmVersion", "GET", "/version", version, at_root=True, keyless=True),
    Operation("nimReady", "GET", "/health/ready", nim_ready, keyless=True),
    Operation("nimLive", "GET", "/health/live", nim_live, keyless=True),
    Operation("nimMetadata", "GET", "/metadata", nim_metadata, keyless=True),
    Operation("nimVersion", "GET", "/version", nim_version, keyless=True),
)
