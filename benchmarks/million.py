"""A sealed cassette with as many recordings as one likes.

    python benchmarks/million.py --cassette million.fcz --recordings 1000000

The first is made by the recorder itself; the others are the same with other questions, keys and ids,
which takes a tenth of the time. The questions are those of `load.py`, from number 0 on. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from load import chat_body

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.draft import Draft, Heard, Tape
from fakeai_proxy.cassette.format import Interaction, decode, encode
from fakeai_proxy.cassette.frames import Label
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.manifest import Manifest
from fakeai_proxy.cassette.matching import canonical_body, key_of, raw_key
from fakeai_proxy.cassette.sealing import write_sealed
from fakeai_proxy.cassette.segments import sealed_of
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock

_TARGET = "/v1/chat/completions"
_JSON = ((b"Content-Type", b"application/json"),)
_ANSWER = (
    b'{"id":"chatcmpl-%d","object":"chat.completion","created":1754000000,"model":"gpt-4o-mini",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"As far as the keeper can see '
    b'on a clear night, and a little less in the fog of number %d."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":31,"completion_tokens":24,"total_tokens":55}}'
)


def draft(number: int) -> Draft:
    answer = _ANSWER % (number, number)
    headers = (*_JSON, (b"Content-Length", b"%d" % len(answer)))
    heard = Heard(200, headers, "OK", 200_000, Tape(answer), [len(answer)], [1_000])
    asked = Tape(chat_body(number))
    return Draft(
        f"{number + 1:016x}", 1.75e9 + number / 1e3, "", "POST", _TARGET, _JSON,
        body=asked, heard=heard,
    )  # fmt: skip


def more(label: Label, first: Interaction, count: int) -> Iterator[tuple[Label, int, bytes]]:
    """As `write_sealed` wants them: the first, and others like it."""
    for number in range(count):
        body = chat_body(number)
        raw = raw_key("POST", _TARGET, _JSON, body)
        key = key_of("POST", _TARGET, _JSON, canonical_body(_JSON, body))
        request = replace(first.request, body=body)
        record = replace(first, id=f"{number + 1:016x}", request=request, raw_key=raw, key=key)
        yield replace(label, id=number + 1, raw_key=raw, key=key), number, encode(record)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cassette", type=Path, required=True)
    parser.add_argument("--recordings", type=int, default=1_000_000)
    options = parser.parse_args()
    folder, started_s = options.cassette, time.perf_counter()
    settings = CassetteSettings(cassette=(folder,))
    library = Library.open(settings, SystemClock(), record=True)
    library.append(draft(0)).result()
    library.close()
    manifest = Manifest.read(folder)
    [segment] = sealed_of(folder, manifest)
    [label, place] = next(pair for pair in segment.scan() if pair[0].kind == frames.CLOSE)
    first = decode(segment.line(place))
    assert isinstance(first, Interaction)
    sealed = write_sealed(
        folder, manifest, more(label, first, options.recordings), [segment.path.name]
    )
    assert sealed is not None
    manifest.sealed((sealed,)).write(folder)
    segment.path.unlink()
    took_s = time.perf_counter() - started_s
    Library.open(settings, SystemClock()).close()  # makes the index
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(json.dumps({"made_s": took_s, "size_mib": size / 2**20}))


if __name__ == "__main__":
    main()
