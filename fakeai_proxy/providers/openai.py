"""OpenAI, in whose words the catalogue is written, and the vendors that copy it."""

from __future__ import annotations

import re

from fakeai_proxy.providers.provider import Provider, date, request_id, spent_ms

OPENAI = Provider(
    "openai",
    ("api.openai.com", "us.api.openai.com", "eu.api.openai.com"),
    headers=(
        (b"date", date),
        (b"openai-organization", b"org-fakeai"),
        (b"openai-processing-ms", spent_ms),
        (b"openai-version", b"2020-10-01"),
        (b"x-request-id", request_id),
    ),
    path=re.compile(r"/_fakeai/"),  # what reads our own pages reads one envelope
)

_COPIES = {
    "mistral": ("api.mistral.ai",),
    "groq": ("api.groq.com",),
    "deepseek": ("api.deepseek.com",),
    "together": ("api.together.xyz", "api.together.ai"),
    "fireworks": ("api.fireworks.ai",),
    "openrouter": ("openrouter.ai",),
    "perplexity": ("api.perplexity.ai",),
    "cohere": ("api.cohere.com", "api.cohere.ai"),
    "xai": ("api.x.ai",),
    "cerebras": ("api.cerebras.ai",),
}
COPIES = tuple(
    Provider(name, hosts, headers=((b"date", date), (b"x-request-id", request_id)))
    for name, hosts in _COPIES.items()
)
