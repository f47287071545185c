"""How a turn comes about: what is in the store is read, what is to be found is searched, and then the
turn is planned in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.services.catalogue import Catalogue, ModelCard
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.responder import Ask, Canned, Responder
from fakeai_proxy.services.threads.conversation import Document, Heard, Image, text_of
from fakeai_proxy.services.threads.keeping import STEPS_MAX, thread_key
from fakeai_proxy.services.threads.kinds import MESSAGES, STEPS
from fakeai_proxy.services.threads.tool_choice import Uses
from fakeai_proxy.services.threads.turn import Maker, Turn, failed, uses_of
from fakeai_proxy.services.threads.works import Found, search_options
from fakeai_proxy.services.tuned import Tuned, tuned
from fakeai_proxy.services.vector_stores.quoting import quotes
from fakeai_proxy.services.vector_stores.rows import STORES
from fakeai_proxy.services.vector_stores.searching import Hit, search
from fakeai_proxy.services.vector_stores.wire import RankingOptions
from fakeai_proxy.store import Key, Row, Store

#: Messages that are read in one go, and the characters after which no model has room for more.
_PAGE, _CHARS_PER_TOKEN = 100, 8
#: platform.openai.com/docs/assistants/tools/file-search: results of a search, fewer for gpt-3.5, and how
#: long a run waits for files that are being read.
_RESULTS, _RESULTS_FEW, _INDEXED_S = 20, 5, 60
_LOOK_S = 0.1
_QUERY_CHARS_MAX = 1000
#: Larger pictures are not looked at; a limit of the vendor's.
_IMAGE_BYTES_MAX = 20 << 20


@dataclass(frozen=True, slots=True)
class Means:
    """What a turn is made with, by a handler or a job."""

    store: Store
    dice: Dice
    catalogue: Catalogue
    embedder: Kind
    responder: Responder | None
    clock: Clock

    async def turn(self, run: Row) -> Turn:
        """What is wrong with the run is a turn that fails."""
        document = run.document
        name, project = document["model"], thread_key(run).parent
        own = await tuned(self.store, project, name, self.catalogue)
        try:
            card = own.card if own is not None else self.catalogue.require(name, "chat")
        except ApiError as error:
            return failed(name, error)
        heard = await self._heard(run, card)
        uses = uses_of(heard)
        hits: list[Hit] | None = None
        if "file_search" in uses.works:
            try:
                hits = await self._search(run, _query(heard.hints))
            except ApiError as error:
                return failed(card.id, error)
        with self.clock.hold():
            turn = await asyncio.to_thread(self._planned, card, own, heard, uses, hits)
        for drawn in turn.drawn:
            turn.blobs[drawn.file_id] = await self.store.blobs.put([drawn.data])
        return turn

    def _planned(
        self, card: ModelCard, own: Tuned | None, heard: Heard, uses: Uses,
        hits: Sequence[Hit] | None,
    ) -> Turn:  # fmt: skip
        try:
            canned = self._canned(card, heard)
            if canned is None and own is not None:
                canned = own.answer(heard.hints.prompt)
        except ApiError as error:
            return failed(card.id, error)
        found = None
        if hits is not None:
            query = _query(heard.hints)
            found = Found(query, hits, quotes(query, hits, self.embedder))
        return Maker(self.dice, card, heard, uses, found, canned).turn()

    def _canned(self, card: ModelCard, heard: Heard) -> Canned | None:
        if self.responder is None:
            return None
        prompt = heard.hints.prompt
        rng: Random = self.dice.roll(f"{card.id}\n{prompt}", "responder")
        return self.responder.answer(Ask("createRun", card.id, prompt, rng, _as_chat(heard)))

    # --- files -------------------------------------------------------------------------------------

    async def ready(self, run: Row) -> None:
        """Waits until what the run searches has been read, for a minute at most."""
        project = thread_key(run).parent
        until = run.created_at + _INDEXED_S
        for store_id in run.document["_vector_store_ids"]:
            key = Key(STORES.kind, store_id, project)
            while (row := await self.store.get(key)) is not None:
                now = self.clock.wall()
                if not row.document["file_counts"]["in_progress"] or now >= until:
                    break
                await self.clock.sleep_until(self.clock.now() + _LOOK_S)

    async def _search(self, run: Row, query: str) -> list[Hit]:
        """Raises 400 and 404."""
        document = run.document
        options = search_options(document)
        few = document["model"].startswith("gpt-3.5")
        ranking = options["ranking_options"]
        return await search(
            self.store, thread_key(run).parent, document["_vector_store_ids"], [query],
            limit=options.get("max_num_results") or (_RESULTS_FEW if few else _RESULTS),
            ranking=RankingOptions(score_threshold=ranking["score_threshold"]),
            embedder=self.embedder, clock=self.clock,
        )  # fmt: skip

    # --- what is in the store ----------------------------------------------------------------------

    async def _heard(self, run: Row, card: ModelCard) -> Heard:
        steps = await self.store.page(STEPS.kind, run.key.path, limit=STEPS_MAX, ascending=True)
        turn = run.document["_turn"]
        # Of this turn, an earlier attempt may have left some.
        done = [row.document for row in steps.rows if row.document["_turn"] < turn]
        messages = await self._messages(run, card.context_tokens * _CHARS_PER_TOKEN)
        images = await self._images(thread_key(run).parent, messages)
        return Heard(run.document, messages, done, images)

    async def _messages(self, run: Row, most_chars: int) -> list[Document]:
        """The latest that any model has room for, oldest first."""
        read: list[Document] = []
        chars, after, more = 0, "", True
        while more and chars <= most_chars:
            page = await self.store.page(MESSAGES.kind, run.key.parent, limit=_PAGE, after=after)
            for row in page.rows:
                if row.document["run_id"] != run.key.id:
                    read.append(row.document)
                    chars += len(text_of(row.document))
            more = page.has_more
            after = page.rows[-1].key.id if page.rows else ""
        return read[::-1]

    async def _images(self, project: str, messages: Sequence[Document]) -> dict[str, Image]:
        """The files that they show, by id; those that are gone are blank."""
        named = {
            part["image_file"]["file_id"]
            for message in messages
            for part in message["content"]
            if part["type"] == "image_file"
        }
        images = {}
        for file_id in sorted(named):
            row = await self.store.get(Key(FILES.kind, file_id, project))
            if row is None or row.blob is None or row.document["bytes"] > _IMAGE_BYTES_MAX:
                images[file_id] = Image("")
                continue
            data = await asyncio.to_thread(self._read, row.blob)
            images[file_id] = Image(row.document["filename"], data)
        return images

    def _read(self, blob: str) -> bytes:
        with self.store.blobs.open_file(blob) as file:
            return file.read()


def _query(hints: Hints) -> str:
    """What is looked for: the question, which says more than its subject."""
    return " ".join(hints.prompt[-_QUERY_CHARS_MAX:].split()) or hints.subject or "overview"


def _as_chat(heard: Heard) -> Callable[[], dict[str, object]]:
    """What a responder is shown: the thread as the messages of a chat."""
    said = [{"role": one["role"], "content": text_of(one)} for one in heard.messages]
    return lambda: {"model": heard.run["model"], "messages": said}
