"""Recordings are sealed by whoever makes them, and nobody notices but the disk."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette import segments as segments_file
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.manifest import Manifest
from fakeai_proxy.cassette.matching import raw_key
from fakeai_proxy.cassette.segments import Segment, lock, policy_of, segments_of
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock
from tests.cassette.test_library import JSON, TARGET, draft, fill

FULL_BYTES = 6_000


def opened(path: Path, record: bool = False, **more: object) -> Library:
    chosen = CassetteSettings.model_validate({"cassette": (path,), **more})
    return Library.open(chosen, SystemClock(), record=record, live_bytes_max=FULL_BYTES)


def key(number: int) -> bytes:
    return raw_key("POST", TARGET, JSON, b'{"n": %d}' % number)


def told(library: Library) -> list[Interaction]:
    return [library.load(entry) for entry in library.index.entries]


def names(path: Path, beginning: str) -> list[str]:
    return sorted(file.name for file in path.glob(beginning + "*"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.fcz"


def test_a_recording_is_sealed_when_it_is_closed(path: Path) -> None:
    for start in (0, 3):
        library = opened(path, record=True)
        fill(library, 3, start)
        assert len(names(path, "live-")) == 1
        library.close()
        assert not names(path, "live-")
    assert len(names(path, "seg-")) == 2
    assert (path / "index.bin").exists()
    again = opened(path)
    assert [one.id for one in told(again)] == [f"{number:016x}" for number in range(6)]
    again.close()


def test_who_records_nothing_seals_nothing(path: Path) -> None:
    library = opened(path, record=True, seal="never")
    fill(library, 3)
    library.close()
    opened(path, record=True).close()
    assert len(names(path, "live-")) == 1


def test_a_full_file_is_sealed_while_recording_goes_on(path: Path) -> None:
    library = opened(path, record=True)
    pending = draft(9000)
    library.begin(pending)  # its end comes in another file
    fill(library, 60)
    assert library.append(pending).result(timeout=30)
    fill(library, 60, 60)
    upkeep = library._upkeep
    assert upkeep is not None
    upkeep.close(None)  # what is full by now
    assert len(names(path, "live-")) == 1
    assert len(names(path, "seg-")) >= 3
    assert len({entry.segment.path.name[:4] for entry in library.index.entries}) == 2
    before = told(library)
    wanted = [*range(60), 9000, *range(60, 120)]
    assert [one.id for one in before] == [f"{number:016x}" for number in wanted]
    assert not library.index.opened
    for number in wanted:
        entry = library.find(key(number), 0)
        assert entry is not None
        assert library.load(entry).id == f"{number:016x}"
    library.close()
    again = opened(path)
    assert told(again) == before
    assert not again.index.opened
    assert not names(path, "live-")
    again.close()


def test_a_request_without_an_end_is_said_once(path: Path) -> None:
    library = opened(path, record=True)
    library.begin(draft(9000))
    library.begin(draft(9001))
    fill(library, 60)
    library.drop(draft(9001).id, "answered by the proxy itself")
    library.close()
    again = opened(path)
    assert list(again.index.opened) == [9000]
    assert len(again.index.entries) == 60
    again.close()


def test_the_order_in_which_equal_requests_were_answered_outlives_sealing(path: Path) -> None:
    library = opened(path, record=True)
    for number in (1, 2):
        library.begin(draft(number, asked=b"{}"))
    for number in (2, 1):
        assert library.append(draft(number, asked=b"{}")).result(timeout=30)
    order = [one.id for one in told(library)]
    library.close()
    again = opened(path)
    assert [one.id for one in told(again)] == order == [f"{2:016x}", f"{1:016x}"]
    again.close()
    sealing.seal(path, again=True)
    assert [one.id for one in told(opened(path))] == order


def test_another_processes_file_is_left_alone(path: Path) -> None:
    other = opened(path, record=True)
    fill(other, 2, 500)
    [busy] = names(path, "live-")
    library = opened(path, record=True)
    fill(library, 60)
    library.close()
    assert names(path, "live-") == [busy]
    fill(other, 2, 502)
    other.close()
    assert not names(path, "live-")
    assert len(told(opened(path))) == 64


def test_a_damaged_file_of_somebody_else_stays_and_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = opened(path, record=True, seal="never")
    fill(earlier, 5)
    earlier.close()
    [victim] = path.glob("live-*")
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 255
    library = opened(path, record=True)
    victim.write_bytes(data)
    fill(library, 5, 5)
    with caplog.at_level(logging.WARNING):
        library.close()
    assert names(path, "live-") == [victim.name]
    assert victim.read_bytes() == bytes(data)
    assert len(names(path, "seg-")) == 1
    assert "verify" in caplog.text


def test_a_disk_that_takes_no_further_file_lets_the_present_one_grow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = opened(path, record=True)
    fill(library, 1)
    real = os.open

    def refused(file: object, flags: int, mode: int = 0o777) -> int:
        if "live-" in str(file) and flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return real(file, flags, mode)  # type: ignore[arg-type]  # a path

    monkeypatch.setattr(os, "open", refused)
    fill(library, 60, 1)
    assert len(names(path, "live-")) == 1
    monkeypatch.undo()
    fill(library, 200, 61)
    library.close()
    assert len(told(opened(path))) == 261


def test_a_cassette_that_is_sealed_while_it_is_opened_is_opened_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = opened(path, record=True, seal="never")
    fill(library, 20)
    library.close()
    calls: Iterator[int] = iter(range(10))

    def sealed_in_between(folder: Path, listed: Manifest | None = None) -> list[Segment]:
        found = segments_of(folder, listed)
        if next(calls) == 0:
            sealing.seal(folder)
        return found

    monkeypatch.setattr(segments_file, "segments_of", sealed_in_between)
    again = opened(path)
    assert len(told(again)) == 20
    assert {entry.segment.path.name[:4] for entry in again.index.entries} == {"seg-"}
    assert next(calls) == 2


def test_recordings_under_way_are_not_lost_between_two_files(path: Path) -> None:
    library = opened(path, record=True)
    waiting: list[Future[bool]] = []
    for number in range(200):
        library.begin(draft(number))
        if number >= 10:
            waiting.append(library.append(draft(number - 10)))
    waiting += [library.append(draft(number)) for number in range(190, 200)]
    assert all(future.result(timeout=30) for future in waiting)
    library.close()
    again = opened(path)
    assert [one.id for one in told(again)] == [f"{number:016x}" for number in range(200)]
    assert not again.index.opened


def test_a_file_in_use_is_locked_until_the_recorder_has_gone_on(path: Path) -> None:
    library = opened(path, record=True)
    fill(library, 1)
    [live] = path.glob("live-*")
    descriptor = os.open(live, os.O_RDWR)
    assert not lock(descriptor)
    os.close(descriptor)
    library.close()


def test_what_a_killed_sealer_had_no_time_to_delete_does_not_come_back(path: Path) -> None:
    library = opened(path, record=True, seal="never")
    fill(library, 20)
    library.close()
    [live] = path.glob("live-*")
    data = live.read_bytes()
    sealing.seal(path)
    for again in (False, True, True):
        live.write_bytes(data)  # as if it had been killed before
        sealing.seal(path, again=again)
        assert not live.exists()
        assert len(told(opened(path))) == 20
    live.write_bytes(data)
    assert len(told(opened(path))) == 20


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.zst"])
def test_one_file_is_tidied_when_it_is_closed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rules = {"scrub_pattern": ("whale-[0-9]+",)}
    library = opened(path, record=True, **rules)
    for number in range(3):
        library.begin(draft(number))
    fill(library, 3)
    library.close()
    before = list(rewriting.lines_of(path))
    assert [json.loads(line)["kind"] for line in before] == ["head", "close", "close", "close"]
    assert policy_of(path) == library.redactor.policy

    library = opened(path, record=True, **rules)
    again = draft(1)
    again.extra = {"again": 1}
    again.at += 60
    assert library.append(again).result(timeout=30)
    library.close()
    after = list(rewriting.lines_of(path))
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, True, False, True]

    opened(path, record=True).close()
    assert list(rewriting.lines_of(path)) == after
    library = opened(path, record=True, seal="never")
    library.begin(draft(9))
    assert library.append(draft(9)).result(timeout=30)
    library.close()
    assert json.loads(list(rewriting.lines_of(path))[-2])["kind"] == "open"
