"""How much of a prompt the vendor says was cached.

OpenAI counts hits from 1,024 tokens on, in steps of 128 (its guide to prompt caching); a server of
one's own, as vLLM, reports whole blocks.
"""

from __future__ import annotations

from fakeai_proxy.exchange import Admission
from fakeai_proxy.services.catalogue import ModelCard

#: OpenAI's: shorter prompts are never cached, others in steps.
CACHED_PROMPT_TOKENS_MIN, CACHED_STEP_TOKENS = 1024, 128
#: No engine has smaller blocks than this, and a prompt's last token is always computed.
_BLOCK_TOKENS_MIN = 8


def may_be_cached(card: ModelCard, prompt_tokens: int) -> bool:
    """Whether the usage depends on what the back end did."""
    return prompt_tokens > (CACHED_PROMPT_TOKENS_MIN if card.is_openai else _BLOCK_TOKENS_MIN)


def cached_tokens(card: ModelCard, admission: Admission, prompt_tokens: int) -> int:
    cached = min(admission.cached_tokens, prompt_tokens)
    if not card.is_openai:
        return cached
    return 0 if cached < CACHED_PROMPT_TOKENS_MIN else cached - cached % CACHED_STEP_TOKENS
