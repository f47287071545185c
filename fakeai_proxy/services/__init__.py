"""The rooms: one module a service. ROOMS is the table of contents of the whole API, JOBS that of the
work which goes on after an answer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from fakeai_proxy.services.job import Job
from fakeai_proxy.services.operation import Operation

#: Modules whose operations have been asked for.
_READY: set[str] = set()


@dataclass(frozen=True)
class Room:
    """A module of this package, imported when somebody first asks for it. `under` are the first
    segments of its operations' paths, without the version prefix."""

    module: str
    under: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """Whether `operations` are there at once."""
        return self.module in _READY

    @property
    def operations(self) -> tuple[Operation, ...]:
        found: tuple[Operation, ...] = import_module(f"{__name__}.{self.module}").OPERATIONS
        for operation in found:
            if operation.body is not None:
                operation.body.model_rebuild()  # with the room, not with a request on the event loop
        _READY.add(self.module)
        return found


def _rooms(**under: str) -> dict[str, Room]:
    return {name: Room(name, tuple(segments.split())) for name, segments in under.items()}


ROOMS = _rooms(
    assistants="assistants",
    audio="audio",
    batches="batches",
    chat="chat tokenize detokenize",
    completions="completions",
    containers="containers",
    conversations="conversations",
    embeddings="embeddings",
    evals="evals",
    files="files",
    fine_tuning="fine_tuning",
    images="images",
    messages="messages",
    models="models",
    moderations="moderations",
    organization="organization projects",
    rag="rag",
    ranking="ranking rerank retrieval score v2",
    realtime="realtime",
    responses="responses",
    serving="health metadata ping version",
    text_generation="text",
    threads="threads",
    uploads="uploads",
    vector_stores="vector_stores",
    videos="videos",
)


#: The module of this package that works on rows of each kind.
JOBS: dict[str, str] = {
    "batch": "batches",
    "eval.run": "evals",
    "fine_tuning.job": "fine_tuning",
    "message_batch": "messages",
    "thread.run": "threads",
    "response": "responses",
    "vector_store.file": "vector_stores",
    "webhook": "delivery",
}


def job_of(kind: str) -> Job:
    """Imports its module, which may take a while."""
    offered: tuple[Job, ...] = import_module(f"{__name__}.{JOBS[kind]}").JOBS
    return next(job for job in offered if job.kind == kind)


def warm_up(vocabulary: str) -> None:
    """Load what the first answer would otherwise wait for; half a second, in any thread."""
    from fakeai_proxy.generate.text import prose
    from fakeai_proxy.generate.tokens import Tokens

    prose(Tokens.load(vocabulary))
    _ = ROOMS["chat"].operations
