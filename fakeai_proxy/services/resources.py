"""The five verbs, once: create, list, retrieve, modify and delete on what the store keeps.

A room declares a `Resource` and takes the operations it has; verbs of its own begin with `row`,
`insert` and `reply`. Nothing here knows what any document means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Handler, Operation
from fakeai_proxy.services.paging import envelope, is_ascending, limit_of
from fakeai_proxy.services.wire import Shape, json_reply
from fakeai_proxy.store import (
    Change,
    Delete,
    Exists,
    Insert,
    Key,
    Missing,
    Page,
    Require,
    Row,
    Write,
)

#: Ids are tried so often; after the first, which equal requests share, they are unique in time.
_TRIES = 8


def _as_it_is(row: Row, now: float) -> Mapping[str, Any]:
    return row.document


def _alone(row: Row) -> Iterable[Write]:
    return ()


def _unmade(call: Call, row: Row) -> Row:
    return row.merged(**call.body.model_dump(exclude_none=True))


@dataclass(frozen=True, kw_only=True)
class Resource:
    """`path` is the collection's and `param` names the id below it; a resource `within` another has
    that one's path and param before its own. `show` is a row as clients see it at an instant: what
    time changes is derived there. `make` fills in the row of a create, whose document has its id,
    object and date; `change` makes a row anew for a modify. `filters` are query parameters and the
    tags they ask for."""

    kind: str
    object: str
    prefix: str
    path: str
    param: str
    missing: Callable[[str], ApiError]
    within: Resource | None = None
    show: Callable[[Row, float], Mapping[str, Any]] = _as_it_is
    create: type[Shape] | None = None
    make: Callable[[Call, Row], Row] = _unmade
    modify: type[Shape] | None = None
    change: Callable[[Call, Row], Row] = _unmade
    #: The object of the answer to a delete.
    deleted: str = ""
    created: str = "created_at"
    id_length: int = 24
    limit_default: int = 20
    limit_max: int = 100
    ascending: bool = False
    #: Whether lists say their first_id and last_id.
    has_ids: bool = True
    filters: Mapping[str, str] = field(default_factory=dict)

    # --- rows --------------------------------------------------------------------------------------

    def parent(self, call: Call) -> str:
        return call.project if self.within is None else self.within.key(call).path

    def key(self, call: Call, row_id: str | None = None) -> Key:
        """Of the id in the call's path, unless another is given."""
        given = call.params[self.param] if row_id is None else row_id
        return Key(self.kind, given, self.parent(call))

    async def row(self, call: Call, row_id: str | None = None) -> Row:
        """Raises 404."""
        key = self.key(call, row_id)
        found = await call.store.get(key)
        if found is None:
            raise await self.not_found(call, key.id)
        return found

    async def not_found(self, call: Call, row_id: str) -> ApiError:
        """About what it is within, if that is what is missing."""
        outer = self.within
        if outer is not None and await call.store.get(outer.key(call)) is None:
            return await outer.not_found(call, outer.key(call).id)
        return self.missing(row_id)

    def begun(self, call: Call, *salt: str | int, parent: str | None = None) -> Row:
        """A row with an id and a date of its own, not yet in the store. Several rows of one call have
        each a `salt`, those below a row of the same call its path as `parent`."""
        row_id = self.prefix + call.dice.text_id(
            call.id_key, self.kind, *salt, length=self.id_length
        )
        document = {"id": row_id, "object": self.object, self.created: call.created}
        key = Key(self.kind, row_id, self.parent(call) if parent is None else parent)
        return Row(key, document, float(call.created))

    async def insert(
        self,
        call: Call,
        make: Callable[[Row], Row],
        also: Callable[[Row], Iterable[Write]] = _alone,
    ) -> Row:
        """The row that `make` makes of a begun one, and in the same transaction what `also` says once
        it has its id. Raises 404 where what it is within is missing, and Missing for what else is."""
        outer = self.within
        required = () if outer is None else (Require(outer.key(call)),)
        for attempt in range(_TRIES):
            row = make(self.begun(call, *((attempt, str(call.wall())) if attempt else ())))
            try:
                found = (await call.store.commit(*required, Insert(row), *also(row)))[len(required)]
            except Exists as error:  # an earlier life of this server gave the same id
                if error.key != row.key:
                    raise
                continue
            except Missing as error:
                if outer is None or error.key != outer.key(call):
                    raise
                raise await outer.not_found(call, error.key.id) from None
            assert found is not None, "an insert answers with its row"
            return found
        raise errors.server_error()

    async def changed(
        self,
        call: Call,
        change: Callable[[Row], Row],
        row_id: str | None = None,
        also: Iterable[Write] = (),
    ) -> Row:
        """The row as `change` makes it, and `also` in the same transaction. Raises 404 and what
        `change` raises."""
        key = self.key(call, row_id)
        try:
            found, *_ = await call.store.commit(Change(key, change), *also)
        except Missing:
            raise await self.not_found(call, key.id) from None
        assert found is not None, "a change answers with its row"
        return found

    async def page(self, call: Call, tags: Mapping[str, str] | None = None) -> Page:
        """What the call's query asks for. Raises 400 and 404."""
        outer = self.within
        if outer is not None:
            await outer.row(call)
        asked = {
            self.filters[name]: value for name, value in call.query.items() if name in self.filters
        }
        try:
            return await call.store.page(
                self.kind,
                self.parent(call),
                tags={**asked, **(tags or {})},
                after=call.query.get("after", ""),
                before=call.query.get("before", ""),
                limit=limit_of(call.query.get("limit") or None, self.limit_default, self.limit_max),
                ascending=is_ascending(call.query.get("order") or None, self.ascending),
            )
        except Missing as error:
            raise self.missing(error.key.id) from None

    # --- replies -----------------------------------------------------------------------------------

    def reply(self, call: Call, row: Row) -> Reply:
        return json_reply(self.show(row, call.wall()))

    def listing(self, call: Call, page: Page) -> Reply:
        now = call.wall()
        data = [self.show(row, now) for row in page.rows]
        return json_reply(envelope(data, has_more=page.has_more, has_ids=self.has_ids))

    # --- verbs -------------------------------------------------------------------------------------

    async def create_one(self, call: Call) -> Reply:
        return self.reply(call, await self.insert(call, lambda row: self.make(call, row)))

    async def list_some(self, call: Call) -> Reply:
        return self.listing(call, await self.page(call))

    async def retrieve_one(self, call: Call) -> Reply:
        return self.reply(call, await self.row(call))

    async def modify_one(self, call: Call) -> Reply:
        return self.reply(call, await self.changed(call, lambda row: self.change(call, row)))

    async def delete_one(self, call: Call) -> Reply:
        key = self.key(call)
        try:
            await call.store.commit(Delete(key))
        except Missing:
            raise await self.not_found(call, key.id) from None
        object_name = self.deleted or f"{self.object}.deleted"
        return json_reply({"id": key.id, "object": object_name, "deleted": True})

    def operations(self, **names: str) -> tuple[Operation, ...]:
        """`names` are the vendor's names of the verbs that there are: `create="createBatch"`."""
        one = f"{self.path}/{{{self.param}}}"
        verbs: dict[str, tuple[str, str, Handler, type[Shape] | None]] = {
            "create": ("POST", self.path, self.create_one, self.create),
            "list": ("GET", self.path, self.list_some, None),
            "retrieve": ("GET", one, self.retrieve_one, None),
            "modify": ("POST", one, self.modify_one, self.modify),
            "delete": ("DELETE", one, self.delete_one, None),
        }
        return tuple(Operation(name, *verbs[verb]) for verb, name in names.items())


def with_metadata(row: Row, metadata: Mapping[str, str] | None) -> Row:
    """A modify that says nothing of its metadata leaves them as they are."""
    return (
        row if metadata is None else replace(row, document={**row.document, "metadata": metadata})
    )
