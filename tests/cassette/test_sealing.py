"""Sealing changes how records lie on the disk, and nothing about what they say."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette import groups, manifest, sealed, sealing
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.frames import CLOSE, Label
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import authority_hash, raw_key, route_hash
from fakeai_proxy.errors import CassetteError
from tests.cassette.test_library import JSON, TARGET, draft, fill, opened

KEY_OF_4 = raw_key("POST", TARGET, JSON, b'{"n": 4}')


def contents(library: Library) -> list[Interaction]:
    return [library.load(entry) for entry in library.index.entries]


def record(path: Path, *drafts: object) -> None:
    library = opened(path, record=True)
    for one in drafts:
        library.begin(one)  # type: ignore[arg-type]  # a draft
        assert library.append(one).result(timeout=30)  # type: ignore[arg-type]
    library.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "c.fcz"
    for start in (0, 50, 100):
        library = opened(made, record=True)
        fill(library, 50, start)
        library.close()
    return made


def test_the_same_interactions_are_there_in_the_same_order(path: Path) -> None:
    before = contents(opened(path))
    done = sealing.seal(path)
    assert done.records == 150
    assert not list(path.glob("live-*"))
    library = opened(path)
    assert contents(library) == before
    assert library.find(KEY_OF_4, 0) is not None
    assert library.find(KEY_OF_4, authority_hash("api.openai.com")) is not None
    assert library.find(KEY_OF_4, authority_hash("example.com")) is None
    assert library.find(raw_key("POST", TARGET, JSON, b'{"n": 999}'), 0) is None
    found = library.index.by_id(149)
    assert found is not None
    assert library.load(found).request.body == b'{"n": 149}'
    assert library.index.by_id(150) is None
    assert len(library.index.entries[-7:]) == 7


def test_what_is_recorded_afterwards_comes_after(path: Path) -> None:
    sealing.seal(path)
    record(path, draft(4, b'{"second":1}'), draft(500))
    library = opened(path)
    answers = []
    for _ in range(3):
        entry = library.find(KEY_OF_4, 0)
        assert entry is not None
        answers.append(library.load(entry).response.body)  # type: ignore[union-attr]
    assert answers == [b"{}", b'{"second":1}', b'{"second":1}']
    assert [one.id for one in contents(library)][-2:] == [f"{4:016x}", f"{500:016x}"]
    assert sealing.seal(path).records == 2
    assert len(contents(opened(path))) == 152
    assert len(list(path.glob("seg-*"))) == 2
    sealing.seal(path, again=True)
    assert len(list(path.glob("seg-*"))) == 1
    assert len(contents(opened(path))) == 152


def test_interrupted_and_unfinished_ones_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    library = opened(path, record=True)
    library.begin(draft(1))
    assert library.append(draft(2, b"half", "reset")).result(timeout=30)
    library.begin(draft(3))
    library.drop(f"{3:016x}", "for a reason")
    library.close()
    sealing.seal(path)
    closed = opened(path)
    wanted = raw_key("POST", TARGET, JSON, b'{"n": 2}')
    assert list(closed.index.opened) == [1]
    assert closed.find(wanted, 0) is None
    assert closed.index.was_interrupted(closed.index.entries[0].label.key)
    lenient = opened(path, replay_interrupted=True)
    assert lenient.find(wanted, 0) is not None


def test_other_tools_read_a_sealed_file_as_lines(path: Path) -> None:
    sealing.seal(path)
    [file] = path.glob("seg-*")
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(
        raw, read_across_frames=True
    ) as reader:  # fmt: skip
        lines = reader.read().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["head", *["close"] * 150]


def test_the_index_is_made_anew_when_it_is_missing_damaged_or_of_something_else(path: Path) -> None:
    sealing.seal(path)
    before = contents(opened(path))
    index = path / sealed.NAME
    whole = index.read_bytes()
    for wrong in (None, b"", whole[:1000], b"x" * len(whole), whole[:40] + b"x" * 8 + whole[48:]):
        index.unlink()
        if wrong is not None:
            index.write_bytes(wrong)
        library = opened(path)
        assert contents(library) == before
        library.close()
        assert index.read_bytes() == whole


def test_a_sealed_cassette_that_may_only_be_read_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing.seal(path)
    (path / sealed.NAME).unlink(missing_ok=True)

    def refused(file: Path, data: bytes) -> int:
        raise PermissionError(13, "read-only", str(file))

    monkeypatch.setattr(Path, "write_bytes", refused)
    library = opened(path)
    assert library.find(KEY_OF_4, 0) is not None
    library.close()


def test_who_has_a_cassette_open_reads_on_while_it_is_sealed(path: Path) -> None:
    library = opened(path)
    before = contents(library)
    sealing.seal(path)
    sealing.seal(path, again=True)
    assert contents(library) == before


def test_a_file_that_is_being_recorded_into_is_left_alone(path: Path) -> None:
    recording = opened(path, record=True)
    fill(recording, 3, 1000)
    done = sealing.seal(path)
    assert done.records == 150
    assert len(done.busy) == 1
    fill(recording, 3, 1003)
    recording.close()
    assert len(contents(opened(path))) == 156


def test_a_damaged_file_is_not_sealed_and_stays(path: Path) -> None:
    victim = sorted(path.glob("live-*"))[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 255
    victim.write_bytes(data)
    with pytest.raises(CassetteError, match="verify"):
        sealing.seal(path)
    assert victim.read_bytes() == bytes(data)
    assert len(list(path.glob("live-*"))) == 3


def test_a_sealed_file_of_another_length_is_said(path: Path) -> None:
    sealing.seal(path)
    [file] = path.glob("seg-*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CassetteError, match="manifest"):
        opened(path)


def test_agents_traffic_is_at_least_fifteen_times_smaller(tmp_path: Path) -> None:
    path, words = tmp_path / "agent.fcz", _words()
    library = opened(path, record=True)
    raw_bytes = 0
    for session in range(4):
        history = [{"role": "system", "content": " ".join(next(words) for _ in range(1500))}]
        for turn in range(16):
            history.append({"role": "user", "content": " ".join(next(words) for _ in range(60))})
            asked = json.dumps({"model": "gpt-4o", "messages": history}).encode()
            said = [next(words) for _ in range(60)]
            answer = b"".join(
                b'data: {"id":"chatcmpl-%d-%d","object":"chat.completion.chunk","created":1750000000,'
                b'"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" %b"}}]}\n\n'
                % (session, turn, word.encode())
                for word in said
            )
            history.append({"role": "assistant", "content": " ".join(said)})
            one = draft(session * 100 + turn, answer, asked=asked)
            assert library.append(one).result(timeout=30)
            raw_bytes += len(asked) + len(answer)
    library.close()
    done = sealing.seal(path)
    assert raw_bytes / done.after_bytes >= 15


def _words() -> Iterator[str]:
    rng = random.Random(7)
    vocabulary = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(4000)]
    while True:
        yield rng.choice(vocabulary)


_SEALER = """
import sys
from pathlib import Path
from fakeai_proxy.cassette import sealing
print("ready", flush=True)
sealing.seal(Path(sys.argv[1]), again=True)
"""


def test_a_sealing_that_is_killed_loses_nothing(path: Path) -> None:
    before = contents(opened(path))
    for step in range(12):
        child = subprocess.Popen([sys.executable, "-c", _SEALER, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(step * 4000):  # a little later each time
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        library = opened(path)
        assert contents(library) == before
        library.close()
    sealing.seal(path, again=True)
    assert contents(opened(path)) == before
    assert len(list(path.glob("seg-*"))) == 1


_labels = st.builds(
    Label,
    st.just(CLOSE),
    st.integers(0, 2**64 - 1),
    st.sampled_from((0, 0, 1, 2)),
    st.sampled_from([bytes([n]) * 16 for n in range(1, 6)])
    | st.binary(min_size=16, max_size=16).filter(any),
    st.sampled_from([bytes([n]) * 16 for n in range(1, 6)]),
    st.sampled_from((0, 5, 7)),
    st.sampled_from((route_hash("POST", "/a"), route_hash("GET", "/b"))),
    st.integers(0, 2**64 - 1),
)


@settings(max_examples=60, deadline=None)  # the first one loads numpy
@given(st.lists(st.lists(_labels, max_size=12), min_size=1, max_size=3), st.sampled_from((0, 5, 7)))
def test_the_index_on_disk_answers_as_the_one_in_memory(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[Label]], authority: int
) -> None:
    from fakeai_proxy.cassette.blobs import BlobStore
    from fakeai_proxy.cassette.index import Index
    from fakeai_proxy.cassette.segments import Segment

    ids = [label.id for labels in files for label in labels]
    assume(len(set(ids)) == len(ids))
    folder = tmp_path_factory.mktemp("index")
    live, on_disk, segments = Index(), Index(), []
    for number, labels in enumerate(files):
        path = folder / f"seg-{number:05}-0.jsonl.zst"
        path.write_bytes(groups.pack([(one, order, b"{}\n") for order, one in enumerate(labels)]))
        segment = Segment(path, BlobStore(folder))
        segments.append(segment)
        for label, place in segment.scan(every_checksum=True):
            live.add(segment, label, place)
    on_disk.add_sealed(sealed.open_index(folder, segments, bytes(32), lambda records: None))
    assert sealed.build(segments, b"d" * 32) == sealed.build(segments, b"d" * 32, plain_rows_max=0)

    def seen(entries: object) -> list[object]:
        return [(entry.segment.path, entry.place) for entry in entries]  # type: ignore[attr-defined]

    assert seen(on_disk.entries) == seen(live.entries)
    for number in range(1, 7):
        key = bytes([number]) * 16
        assert seen(on_disk.matching(key, authority)) == seen(live.matching(key, authority))
    for labels in files:
        for label in labels:
            found = on_disk.by_id(label.id)
            assert found is not None
            assert found.label.id == label.id
            if label.flags == 0:
                assert on_disk.canonical(label.raw_key) is not None
    on_disk.close()


def test_the_manifest_keeps_what_it_does_not_know(path: Path) -> None:
    file = path / manifest.NAME
    fields = json.loads(file.read_bytes())
    file.write_text(json.dumps({**fields, "colour": "green"}))
    sealing.seal(path)
    assert json.loads(file.read_bytes())["colour"] == "green"
