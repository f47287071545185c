"""The rooms: one file a service. ROOMS is the table of contents of the whole API."""

from fakeai_proxy.generate.text import prose
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services import chat, embeddings, models
from fakeai_proxy.services.operation import Operation

ROOMS: dict[str, tuple[Operation, ...]] = {
    "chat": chat.OPERATIONS,
    "embeddings": embeddings.OPERATIONS,
    "models": models.OPERATIONS,
}


def warm_up(vocabulary: str) -> None:
    """Load what the first answer would otherwise wait for; half a second, in any thread."""
    prose(Tokens.load(vocabulary))
