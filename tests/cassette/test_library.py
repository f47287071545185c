"""Cassettes on real disks: what was acknowledged is there, what was torn is set aside and said."""

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import raw_key
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cassette.writer import Writer
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import CassetteError

TARGET = "/v1/chat/completions"
JSON = ((b"content-type", b"application/json"),)


def opened(*paths: Path, record: bool = False, **more: object) -> Library:
    chosen = CassetteSettings.model_validate({"cassette": paths, "seal": "never", **more})
    return Library.open(chosen, SystemClock(), record=record)


def draft(
    number: int, answer: bytes = b"{}", end: str = "eof", asked: bytes | None = None
) -> Draft:
    heard = Heard(200, JSON, end=end, body=Tape(answer), cuts=[len(answer)], gaps_us=[number])
    body = asked if asked is not None else b'{"n": %d}' % number
    return Draft(f"{number:016x}", 1.0 + number, "https://api.openai.com", "POST", TARGET, JSON,
                 body=Tape(body), heard=heard)  # fmt: skip


def fill(library: Library, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        library.begin(draft(number))
        assert library.append(draft(number)).result(timeout=30)


def recorded(library: Library) -> list[Interaction]:
    return [library.load(entry) for entry in library.index.entries]


@pytest.mark.parametrize("name", ["c.fcz", "c.jsonl", "c.jsonl.zst"])
def test_what_was_recorded_is_there_after_opening_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for round_number in range(2):
        library = opened(path, record=True)
        fill(library, 3, round_number * 3)
        library.close()
    again = opened(path)
    assert [one.id for one in recorded(again)] == [f"{number:016x}" for number in range(6)]
    assert not again.index.opened
    assert not again.torn
    entry = again.find(raw_key("POST", TARGET, JSON, b'{"n": 4}'), 0)
    assert entry is not None
    assert again.load(entry).request.body == b'{"n": 4}'


def test_a_new_recording_is_findable_at_once(tmp_path: Path) -> None:
    library = opened(tmp_path / "c.fcz", record=True)
    wanted = raw_key("POST", TARGET, JSON, b'{"n": 7}')
    assert library.find(wanted, 0) is None
    fill(library, 1, 7)
    assert library.find(wanted, 0) is not None
    library.close()


def test_equal_requests_are_answered_in_recorded_order_then_by_the_last(tmp_path: Path) -> None:
    library = opened(tmp_path / "c.fcz", record=True)
    for number in range(3):
        library.append(draft(number, b"%d" % number, asked=b"{}")).result(timeout=30)
    wanted = raw_key("POST", TARGET, JSON, b"{}")

    def answers(session: str, count: int) -> list[object]:
        found = [library.find(wanted, 0, session) for _ in range(count)]
        return [library.load(entry).response.body for entry in found if entry]  # type: ignore[union-attr]

    assert answers("a", 5) == [b"0", b"1", b"2", b"2", b"2"]
    assert answers("b", 2) == [b"0", b"1"]
    library.close()


def test_interrupted_recordings_are_listed_and_replayed_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    library.begin(draft(1))
    library.append(draft(2, b"half", end="reset")).result(timeout=30)
    library.close()
    wanted = raw_key("POST", TARGET, JSON, b'{"n": 2}')
    plain, asked = opened(path), opened(path, replay_interrupted=True)
    assert plain.find(wanted, 0) is None
    assert asked.find(wanted, 0) is not None
    assert list(plain.index.opened) == [1]
    assert len(plain.index.entries) == 1


def test_what_is_taken_back_is_not_listed_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    library.begin(draft(1))
    library.drop(draft(1).id, "answered by the proxy itself")
    library.close()
    again = opened(path)
    assert (again.index.opened, again.index.dropped) == ({}, 1)


@pytest.mark.parametrize("name", ["c.fcz", "c.jsonl", "c.jsonl.zst"])
def test_a_torn_tail_is_set_aside(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    library = opened(path, record=True)
    fill(library, 3)
    library.close()
    [file] = path.glob("live-*") if path.is_dir() else [path]
    data = file.read_bytes()
    file.write_bytes(data[:-5])
    with caplog.at_level(logging.WARNING):
        again = opened(path)
    assert [one.id for one in recorded(again)] == [f"{number:016x}" for number in range(2)]
    [torn] = again.torn
    assert torn.moved
    assert torn.file.name == file.name + ".torn"
    assert torn.file.read_bytes() + b"" == data[:-5][-torn.size_bytes :]
    assert file.read_bytes() + torn.file.read_bytes() == data[:-5]
    assert "interrupted write" in caplog.text
    more = opened(path, record=True)
    fill(more, 1, 9)
    more.close()
    assert [one.id for one in recorded(opened(path))] == [f"{number:016x}" for number in (0, 1, 9)]


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1))
def test_truncation_of_a_plain_file_loses_only_the_torn_record(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.mktemp("torn") / "c.jsonl"
    library = opened(path, record=True)
    fill(library, 3)
    library.close()
    whole = path.read_bytes()
    size = max(1, round(share * len(whole)))
    path.write_bytes(whole[:size])
    lines = whole.splitlines(keepends=True)
    ends = [sum(map(len, lines[: k + 1])) for k in range(len(lines))]
    there = sum(
        size >= end - 1 and b'"close"' in line[:20] for end, line in zip(ends, lines, strict=True)
    )
    assert len(recorded(opened(path))) == there


def test_a_writer_that_is_alive_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    fill(library, 2)
    [file] = path.glob("live-*")
    with file.open("ab") as half:
        half.write(b"half a record")
    reader = opened(path)
    assert [torn.moved for torn in reader.torn] == [False]
    assert file.read_bytes().endswith(b"half a record")
    library.close()


def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    one, two = opened(path, record=True), opened(path, record=True)
    fill(one, 1)
    fill(two, 1, 5)
    one.close()
    two.close()
    assert len(list(path.glob("live-*"))) == 2
    assert {entry.id for entry in recorded(opened(path))} == {f"{0:016x}", f"{5:016x}"}
    manifest = json.loads((path / "manifest.json").read_text())
    assert bytes.fromhex(manifest["salt"])


def test_two_processes_cannot_record_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    library = opened(path, record=True)
    with pytest.raises(CassetteError, match="another process"):
        opened(path, record=True)
    library.close()


def test_large_binary_bodies_are_blobs_and_lie_there_once(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    image = os.urandom(200_000)
    library = opened(path, record=True)
    for number in range(2):
        library.append(draft(number, image)).result(timeout=30)
    library.close()
    again = opened(path)
    for entry in again.index.entries:
        response = again.load(entry).response
        assert response is not None
        assert isinstance(response.body, Blob)
        assert b"".join(again.blob(entry, response.body)) == image
    assert len(list(path.glob("blobs/*/*.zst"))) == 1


def test_a_spooled_body_goes_to_a_blob(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    tape = Tape()
    piece = b"The same harmless words again and again. " * 2000
    for _ in range(40):
        tape.add(piece)
    assert tape.spooled
    library = opened(path, record=True)
    heavy = draft(1)
    heavy.body = tape
    assert library.append(heavy).result(timeout=30)
    library.close()
    again = opened(path)
    [entry] = again.index.entries
    body = again.load(entry).request.body
    assert isinstance(body, Blob)
    assert b"".join(again.blob(entry, body)) == piece * 40
    assert again.find(raw_key("POST", TARGET, JSON, piece * 40), 0) is entry


def test_a_damaged_blob_is_said(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    library.append(draft(1, os.urandom(100_000))).result(timeout=30)
    library.close()
    [file] = path.glob("blobs/*/*.zst")
    file.write_bytes(zstandard.ZstdCompressor().compress(b"other bytes"))
    again = opened(path)
    response = again.load(again.index.entries[0]).response
    assert response is not None
    assert isinstance(response.body, Blob)
    with pytest.raises(CassetteError, match="not those of its name"):
        list(again.blob(again.index.entries[0], response.body))


def test_a_full_queue_drops_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    library = opened(tmp_path / "c.fcz", record=True)
    writer: Writer = library.writer
    writer._queue_bytes_max = 10
    with caplog.at_level(logging.WARNING):
        assert library.append(draft(1)).result(timeout=30) is False
    assert library.dropped == 1
    assert "was not recorded" in caplog.text
    library.close()
    assert opened(tmp_path / "c.fcz").index.dropped == 1


def test_a_disk_that_fails_is_said_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    shutil.rmtree(path)
    path.write_text("in the way")
    with pytest.raises(CassetteError, match="not recorded"):
        library.append(draft(1)).result(timeout=30)
    path.unlink()
    assert library.append(draft(2)).result(timeout=30)
    library.close()


def test_other_programs_files_are_read(tmp_path: Path) -> None:
    library = opened(tmp_path / "c.jsonl", record=True)
    fill(library, 3)
    library.close()
    packed = tmp_path / "packed.jsonl.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress((tmp_path / "c.jsonl").read_bytes()))
    again = opened(packed)
    assert len(recorded(again)) == 3
    with pytest.raises(CassetteError, match="another program"):
        opened(packed, record=True)


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="zstdcat is not installed")
def test_zstdcat_reads_a_live_file(tmp_path: Path) -> None:
    library = opened(tmp_path / "c.fcz", record=True)
    fill(library, 2)
    library.close()
    [file] = (tmp_path / "c.fcz").glob("live-*")
    text = subprocess.run(["zstdcat", file], capture_output=True, check=True).stdout
    kinds = [json.loads(line)["kind"] for line in text.splitlines()]
    assert kinds == ["head", "open", "close", "open", "close"]


def test_a_record_written_by_hand_needs_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(
        json.dumps(
            {
                "kind": "close",
                "id": "by hand",
                "request": {"method": "GET", "target": "/v1/models", "headers": []},
                "response": {"status": 200, "headers": [], "body": {"json": {"data": []}}},
            }
        )
    )
    library = opened(path)
    entry = library.find(raw_key("GET", "/v1/models", (), b""), 0)
    assert entry is not None
    assert library.load(entry).response.body == b'{"data":[]}'  # type: ignore[union-attr]


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine.fcz"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for record in (False, True):
        with pytest.raises(CassetteError, match="no cassette"):
            opened(folder, record=record)
    assert [entry.name for entry in folder.iterdir()] == ["notes.txt"]


def test_a_name_that_tells_no_form_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ValueError, match=r"\.fcz, \.jsonl, \.jsonl\.zst"):
        CassetteSettings(cassette=(Path("notes.txt"),))


def test_version_1_is_read_for_ever() -> None:
    library = opened(Path(__file__).parent / "golden" / "version-1.jsonl")
    [entry] = library.index.entries
    record = library.load(entry)
    assert entry is library.find(
        raw_key("POST", TARGET, JSON, b'{"model": "gpt-4o-mini", "stream": true}'), 0
    )
    assert record.response is not None
    assert record.response.body == b"data: {}\n\ndata: [DONE]\n\n"
    assert (record.response.cuts, record.response.gaps_us) == ((10, 14), (412_345, 20_001))
    assert record.response.headers[1] == (b"X-Odd", b"\xff")
    assert record.extra == {"later": "kept"}
    assert list(library.index.opened) == [0xABCDEF]


@pytest.mark.parametrize(
    ("name", "data"),
    [("c.jsonl", b"{}\n{}\n"), ("c.jsonl.zst", b"no zstd"), ("absent.fcz", None)],
)
def test_what_is_no_cassette_is_refused(tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CassetteError):
        opened(tmp_path / name)
