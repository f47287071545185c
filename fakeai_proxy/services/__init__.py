"""The rooms: one file a service. ROOMS is the table of contents of the whole API."""

from fakeai_proxy.services import chat, embeddings, models
from fakeai_proxy.services.operation import Operation

ROOMS: dict[str, tuple[Operation, ...]] = {
    "chat": chat.OPERATIONS,
    "embeddings": embeddings.OPERATIONS,
    "models": models.OPERATIONS,
}
