"""The rooms: one file a service. ROOMS is the table of contents of the whole API."""

from fakeai_proxy.generate.text import prose
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services import (
    chat,
    completions,
    conversations,
    embeddings,
    messages,
    models,
    ranking,
    responses,
    serving,
    text_generation,
)
from fakeai_proxy.services.operation import Operation

ROOMS: dict[str, tuple[Operation, ...]] = {
    "chat": chat.OPERATIONS,
    "completions": completions.OPERATIONS,
    "conversations": conversations.OPERATIONS,
    "embeddings": embeddings.OPERATIONS,
    "messages": messages.OPERATIONS,
    "models": models.OPERATIONS,
    "ranking": ranking.OPERATIONS,
    "responses": responses.OPERATIONS,
    "serving": serving.OPERATIONS,
    "text_generation": text_generation.OPERATIONS,
}


def warm_up(vocabulary: str) -> None:
    """Load what the first answer would otherwise wait for; half a second, in any thread."""
    prose(Tokens.load(vocabulary))
