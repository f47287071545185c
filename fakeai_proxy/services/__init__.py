"""The rooms: one file a service. ROOMS is the table of contents of the whole API."""

from fakeai_proxy.services import chat, models
from fakeai_proxy.services.operation import Operation

ROOMS: dict[str, tuple[Operation, ...]] = {
    "models": models.OPERATIONS,
    "chat": chat.OPERATIONS,
}
