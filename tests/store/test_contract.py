"""What every store does, whatever is below it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.store import (
    Change,
    Conflict,
    Delete,
    Exists,
    Insert,
    Key,
    LeaseLost,
    Missing,
    Row,
    Store,
    Tally,
    finish,
    put,
)

PROJECT = "proj_a"
THREAD = Key("thread", "thread_1", PROJECT)


def row(key: Key, document: dict[str, object] | None = None, **columns: object) -> Row:
    return replace(Row(key, document or {"id": key.id}, 1.5), **columns)  # type: ignore[arg-type]  # a test's shorthand


async def fill(store: Store, count: int, parent: str = PROJECT, **columns: object) -> list[str]:
    ids = [f"file-{number}" for number in range(count)]
    await store.commit(*[Insert(row(Key("file", one, parent), **columns)) for one in ids])
    return ids


async def listed(store: Store, **query: object) -> tuple[list[str], bool]:
    found = await store.page("file", PROJECT, **query)  # type: ignore[arg-type]  # a test's shorthand
    return [one.key.id for one in found.rows], found.has_more


async def test_a_row_comes_back_as_it_was_put(store: Store) -> None:
    document = {
        "z": 1, "a": [1.5, None, True, {"ü": "\u0000 \U0001f600"}], "big": 2**63 - 1, "": "x" * 100_000,
    }  # fmt: skip
    given = row(
        THREAD,
        document,
        tags={"model": "m"},
        blob="ab" * 32,
        expires_at=2e9,
        due_at=7.5,
        owner="me",
    )
    (inserted,) = await store.commit(Insert(given))
    found = await store.get(THREAD)
    assert found == inserted
    assert found is not None
    assert replace(found, sequence=0, version=0) == given
    assert list(found.document) == list(document)
    assert (found.version, found.sequence > 0) == (1, True)


async def test_what_is_not_there_is_none(store: Store) -> None:
    await store.commit(Insert(row(THREAD)))
    for key in (
        Key("thread", "thread_2", PROJECT), Key("thread", "thread_1", "proj_b"),
        Key("run", "thread_1", PROJECT), Key("thread", "thread_1' OR '1'='1", PROJECT),
    ):  # fmt: skip
        assert await store.get(key) is None


async def test_a_second_row_under_one_key_is_refused(store: Store) -> None:
    await store.commit(Insert(row(THREAD)))
    with pytest.raises(Exists):
        await store.commit(Insert(row(THREAD)))
    await store.commit(Insert(row(Key("thread", "thread_1", "proj_b"))))


async def test_a_transaction_is_done_whole_or_not_at_all(store: Store) -> None:
    await store.commit(Insert(row(THREAD, {"n": 0})))
    other = Key("thread", "thread_2", PROJECT)

    def refuse(row: Row) -> Row:
        raise ApiError(400, "No.")

    with pytest.raises(ApiError, match="No"):
        await store.commit(
            Insert(row(other)),
            Change(THREAD, lambda row: row.merged(n=1)),
            Tally("words", 60, {}, {"n": 1}),
            Change(other, refuse),
        )
    assert await store.get(other) is None
    found = await store.get(THREAD)
    assert found is not None
    assert (found.document, found.version) == ({"n": 0}, 1)
    assert await store.sums("words", 0, 600, 60) == []


async def test_concurrent_changes_of_one_row_are_all_in_it(store: Store) -> None:
    await store.commit(Insert(row(THREAD, {"n": 0})))
    change = Change(THREAD, lambda row: row.merged(n=row.document["n"] + 1))
    answers = await asyncio.gather(*[store.commit(change) for _ in range(100)])
    found = await store.get(THREAD)
    assert found is not None
    assert (found.document["n"], found.version) == (100, 101)
    assert sorted(one.document["n"] for (one,) in answers if one) == list(range(1, 101))


async def test_an_older_version_is_not_put(store: Store) -> None:
    (first,) = await store.commit(Insert(row(THREAD, {"n": 0})))
    assert first is not None
    (second,) = await store.commit(put(THREAD, first.version, {"n": 1}))
    assert second is not None
    assert (second.document, second.version) == ({"n": 1}, 2)
    with pytest.raises(Conflict):
        await store.commit(put(THREAD, first.version, {"n": 2}))
    assert await store.get(THREAD) == second


async def test_changing_or_deleting_nothing_is_missing(store: Store) -> None:
    with pytest.raises(Missing):
        await store.commit(Change(THREAD, lambda row: row))
    with pytest.raises(Missing):
        await store.commit(Delete(THREAD))


async def test_what_lies_below_a_deleted_row_goes_with_it(store: Store) -> None:
    message = THREAD.child("message", "msg_1")
    neighbour = Key("thread", "thread_10", PROJECT)
    below = [message, message.child("part", "p"), THREAD.child("run", "run_1")]
    kept = [neighbour, neighbour.child("message", "msg_1"), Key("thread", "thread_1", "proj_b")]
    await store.commit(*[Insert(row(key)) for key in (THREAD, *below, *kept)])
    await store.commit(Delete(THREAD))
    assert [await store.get(key) for key in (THREAD, *below)] == [None] * 4
    assert None not in [await store.get(key) for key in kept]


async def test_pages_follow_each_other_both_ways(store: Store) -> None:
    ids = await fill(store, 7)
    await fill(store, 3, "proj_b")
    assert await listed(store, limit=3) == (ids[:3:-1], True)
    assert await listed(store, limit=3, after=ids[4]) == (ids[3:0:-1], True)
    assert await listed(store, limit=3, after=ids[1]) == (ids[:1], False)
    assert await listed(store, limit=3, ascending=True) == (ids[:3], True)
    assert await listed(store, limit=7, ascending=True) == (ids, False)
    assert await listed(store, limit=3, ascending=True, after=ids[6]) == ([], False)
    # The page before a row is the one that ends next to it.
    assert await listed(store, limit=2, ascending=True, before=ids[4]) == (ids[2:4], True)
    assert await listed(store, limit=9, before=ids[4]) == ([ids[6], ids[5]], False)
    assert await listed(store, ascending=True, after=ids[1], before=ids[4]) == (ids[2:4], False)
    with pytest.raises(Missing):
        await listed(store, after="file-99")


async def test_a_list_goes_on_after_a_row_deleted_since(store: Store) -> None:
    ids = await fill(store, 5)
    await store.commit(Delete(Key("file", ids[3], PROJECT)))
    assert await listed(store, limit=2, after=ids[3]) == ([ids[2], ids[1]], True)


async def test_lists_and_counts_are_by_tag_too(store: Store) -> None:
    ids = await fill(store, 3, tags={"purpose": "batch", "by": "me"})
    more = [f"more-{number}" for number in range(2)]
    await store.commit(
        *[Insert(row(Key("file", one, PROJECT), tags={"purpose": "batch"})) for one in more]
    )
    assert await listed(store, tags={"purpose": "batch"}, limit=4) == (
        [*more[::-1], *ids[:0:-1]], True,
    )  # fmt: skip
    assert await listed(store, tags={"purpose": "batch", "by": "me"}) == (ids[::-1], False)
    assert await store.count("file", PROJECT, tags={"by": "me"}) == 3
    assert await store.count("file", None) == 5
    key = Key("file", ids[0], PROJECT)
    await store.commit(Change(key, lambda row: replace(row, tags={"purpose": "evals"})))
    assert await listed(store, tags={"by": "me"}) == ([ids[2], ids[1]], False)
    assert await listed(store, tags={"purpose": "evals"}) == ([ids[0]], False)


async def test_what_has_expired_is_gone_at_once_and_swept_later(
    store: Store, clock: VirtualClock
) -> None:
    key = Key("file", "file-0", PROJECT)
    await fill(store, 1, expires_at=clock.wall() + 10)
    await store.commit(Insert(row(key.child("part", "p"))))
    assert await store.get(key) is not None
    clock.advance(10)
    assert await store.get(key) is None
    assert await listed(store) == ([], False)
    assert await store.count("file", PROJECT) == 0
    with pytest.raises(Missing):
        await store.commit(Change(key, lambda row: row))
    assert await store.sweep() == 1
    assert await store.get(key.child("part", "p")) is None
    assert await store.sweep() == 0


async def test_an_expired_row_makes_room_for_its_successor(
    store: Store, clock: VirtualClock
) -> None:
    await fill(store, 1, expires_at=clock.wall() + 10)
    clock.advance(10)
    await fill(store, 1)
    assert await listed(store) == (["file-0"], False)


async def test_work_is_given_to_one_owner_until_the_lease_ends(store: Store) -> None:
    await fill(store, 3, due_at=100.0)
    assert await store.claim("file", "me", until=160.0, now=99.0) == []
    first = await store.claim("file", "me", until=160.0, limit=2, now=100.0)
    assert [(one.key.id, one.owner, one.due_at) for one in first] == [
        ("file-0", "me", 160.0), ("file-1", "me", 160.0),
    ]  # fmt: skip
    second = await store.claim("file", "you", until=160.0, limit=9, now=101.0)
    assert [one.key.id for one in second] == ["file-2"]
    assert await store.renew(first[0].key, "me", until=300.0)
    assert not await store.renew(first[0].key, "you", until=300.0)
    late = await store.claim("file", "you", until=300.0, limit=9, now=161.0)
    assert [one.key.id for one in late] == ["file-1", "file-2"]
    with pytest.raises(LeaseLost):
        await store.commit(finish(first[1].key, "me", {"by": "me"}))
    await store.commit(finish(first[0].key, "me", {"by": "me"}))
    assert await store.claim("file", "you", until=900.0, limit=9, now=200.0) == []
    found = await store.get(first[0].key)
    assert found is not None
    assert (found.document, found.owner, found.due_at) == ({"by": "me"}, "", None)


async def test_concurrent_claims_share_the_work(store: Store) -> None:
    ids = await fill(store, 20, due_at=100.0)
    claims = [store.claim("file", f"w{k}", until=200.0, limit=3, now=100.0) for k in range(10)]
    taken = [one.key.id for claim in await asyncio.gather(*claims) for one in claim]
    assert sorted(taken) == sorted(ids)


async def test_counts_are_summed_by_bucket_and_labels(store: Store) -> None:
    a, b = {"model": "a", "project": "p"}, {"model": "b", "project": "p"}
    await store.commit(
        Tally("words", 3600.0, a, {"in": 1, "out": 10}),
        Tally("words", 3659.9, dict(reversed(a.items())), {"in": 2}),
        Tally("words", 3660.0, a, {"in": 4}),
        Tally("words", 7200.0, b, {"in": 2**40}),
        Tally("images", 3600.0, a, {"in": 1}),
    )
    found = await store.sums("words", 3600, 7200, 60)
    assert [tuple(one) for one in found] == [(3600, a, {"in": 3, "out": 10}), (3660, a, {"in": 4})]
    found = await store.sums("words", 0, 86_400, 3600)
    assert [tuple(one) for one in found] == [
        (3600, a, {"in": 7, "out": 10}), (7200, b, {"in": 2**40}),
    ]  # fmt: skip


async def test_sums_of_any_stretch_are_those_of_its_minutes(store: Store) -> None:
    day = 86_400
    instants = [0, 59, 60, 3599, 3600, 7261, day - 1, day, day + 5000, 2 * day + 7, 3 * day - 60]
    await store.commit(*[Tally("words", at, {}, {"n": 1 << k}) for k, at in enumerate(instants)])
    for start in (0, 60, 3540, 3600, 7200, day - 60, day, day + 60):
        for end in (start + 30, start + 3600, 2 * day, 2 * day + 3600, 3 * day - 30, 3 * day):
            for bucket in (60, 300, 3600, 7200, day, 7 * day):
                minutes = range(start // 60, -(-end // 60))
                expected: dict[int, int] = {}
                for k, at in enumerate(instants):
                    if at // 60 in minutes:
                        place = at // bucket * bucket
                        expected[place] = expected.get(place, 0) + (1 << k)
                found = await store.sums("words", start, end, bucket)
                assert {one.at: one.amounts["n"] for one in found} == expected
                assert [one.at for one in found] == sorted(expected)


async def test_what_is_due_next_is_told_by_kind(store: Store, clock: VirtualClock) -> None:
    assert await store.next_due(["file", "other"]) == {}
    await fill(store, 2, due_at=100.0)
    later = Key("other", "other-0", PROJECT)
    await store.commit(Insert(row(later, due_at=70.0)), Insert(row(later.child("part", "p"))))
    assert await store.next_due(["file", "other", "part"]) == {"file": 100.0, "other": 70.0}
    assert await store.next_due(["file"]) == {"file": 100.0}
    await store.claim("file", "me", until=160.0, limit=1, now=100.0)
    await store.claim("file", "me", until=150.0, limit=1, now=100.0)
    assert await store.next_due(["file"]) == {"file": 150.0}
    await store.commit(finish(later, ""))
    assert await store.next_due(["file", "other"]) == {"file": 150.0}
