"""What an organization has of: resources within it, of which every change is told to the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.keyring import ORGANIZATION
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.listing import next_listing
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Shape, json_reply
from fakeai_proxy.store import Change, Delete, Insert, Missing, Page, Row, Write


class Strict(Shape):
    """A body whose members are all known."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", protected_namespaces=())


def _nothing(row: Row) -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Managed(Resource):
    """`event` begins the types of what the audit log has of it, and `made` ends that of a create;
    `told` is what it says besides the id. Lists that `has_next` say after what they go on."""

    event: str
    made: str = "created"
    told: Callable[[Row], Mapping[str, Any] | None] = _nothing
    has_next: bool = False

    def parent(self, call: Call) -> str:
        return ORGANIZATION if self.within is None else self.within.key(call).path

    async def project(self, call: Call) -> Mapping[str, Any] | None:
        """The document of the project that the call's path is about, None where it is about none.
        Raises 404."""
        outer = self.within
        while outer is not None and outer.param != "project_id":
            outer = outer.within
        return None if outer is None else (await outer.row(call)).document

    def log_of(self, call: Call, row: Row, project: Mapping[str, Any] | None = None) -> Insert:
        """What the audit log says of a row that is made."""
        data = self.told(row)
        details = {"id": row.key.id, **({} if data is None else {"data": data})}
        return entry(call, f"{self.event}.{self.made}", details, project)

    async def add(
        self,
        call: Call,
        make: Callable[[Row], Row],
        also: Callable[[Row], list[Write]] = lambda row: [],
    ) -> Row:
        """As `insert`, and the log says so."""
        project = await self.project(call)
        return await self.insert(
            call, make, lambda row: [*also(row), self.log_of(call, row, project)]
        )

    async def alter(
        self,
        call: Call,
        change: Callable[[Row], Row],
        requested: Mapping[str, Any],
        *also: Write,
        event: str = "",
    ) -> Row:
        """As `changed`, and the log says what was `requested`."""
        key = self.key(call)
        details = {"id": key.id, **({"changes_requested": requested} if requested else {})}
        told = entry(call, event or f"{self.event}.updated", details, await self.project(call))
        try:
            found = (await call.store.commit(Change(key, change), *also, told))[0]
        except Missing as error:
            if error.key != key:
                raise
            raise await self.not_found(call, key.id) from None
        assert found is not None, "a change answers with its row"
        return found

    async def remove(self, call: Call, *also: Write) -> None:
        """As a delete, and the log says so. Raises 404."""
        key = self.key(call)
        told = entry(call, f"{self.event}.deleted", {"id": key.id}, await self.project(call))
        try:
            await call.store.commit(Delete(key), *also, told)
        except Missing as error:
            if error.key != key:
                raise
            raise await self.not_found(call, key.id) from None

    # --- verbs -------------------------------------------------------------------------------------

    def listing(self, call: Call, page: Page) -> Reply:
        if not self.has_next:
            return super().listing(call, page)
        now = call.wall()
        data = [self.show(row, now) for row in page.rows]
        return next_listing(data, page.rows[-1].key.id if page.has_more else None)

    async def create_one(self, call: Call) -> Reply:
        return self.reply(call, await self.add(call, lambda row: self.make(call, row)))

    async def modify_one(self, call: Call) -> Reply:
        requested = call.body.model_dump(exclude_none=True)
        return self.reply(
            call, await self.alter(call, lambda row: self.change(call, row), requested)
        )

    async def delete_one(self, call: Call) -> Reply:
        await self.remove(call)
        return self.gone(call)

    def gone(self, call: Call) -> Reply:
        object_name = self.deleted or f"{self.object}.deleted"
        return json_reply({"id": self.key(call).id, "object": object_name, "deleted": True})


def given(body: Shape) -> dict[str, Any]:
    """What the client said, without what it left open."""
    return body.model_dump(exclude_unset=True, exclude_none=True)
