"""Vector stores of the started program: what a kill leaves, and who goes on where it left off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.doubles.program import Program
from tests.services.stored_files import pdf
from tests.store.test_started import client_of, started

MANY = 24
ASK = "When does the ferry leave?"


def answer(program: Program, store_id: str) -> str:
    with client_of(program) as client:
        tool: Any = {"type": "file_search", "vector_store_ids": [store_id]}
        return client.responses.create(model="gpt-4o", input=ASK, tools=[tool]).output_text


def test_a_kill_in_the_middle_of_reading_loses_no_file_and_reads_none_twice(tmp_path: Path) -> None:
    with started(tmp_path) as program, client_of(program) as client:
        ferry = client.files.create(
            file=("f.pdf", pdf("The ferry leaves at six.")), purpose="user_data"
        )
        store = client.vector_stores.create(name="kept", metadata={"a": "b"})
        done = client.vector_stores.files.create_and_poll(
            ferry.id, vector_store_id=store.id, attributes={"n": 1}, poll_interval_ms=5
        )
        assert done.status == "completed"
        words = " ".join(f"Line {k} of a long text without end." for k in range(4000)).encode()
        ids = [
            client.files.create(file=(f"{k}.txt", words + b"%d" % k), purpose="user_data").id
            for k in range(MANY)
        ]
        batch = client.vector_stores.file_batches.create(store.id, file_ids=ids)
        program.kill()
    with started(tmp_path) as program, client_of(program) as client:
        hits = client.vector_stores.search(
            store.id, query=ASK, filters={"type": "eq", "key": "n", "value": 1}
        ).data
        assert [hit.content[0].text for hit in hits] == ["The ferry leaves at six."]
        assert "The ferry leaves at six." in answer(program, store.id)
        # What was under way is taken over when its lease ends.
        over = client.vector_stores.file_batches.poll(
            batch.id, vector_store_id=store.id, poll_interval_ms=100
        )
        assert over.file_counts.completed == MANY
        counts = client.vector_stores.retrieve(store.id)
        assert (counts.file_counts.completed, counts.file_counts.total) == (MANY + 1, MANY + 1)
        files = list(client.vector_stores.files.list(store.id))
        assert sum(one.usage_bytes for one in files) == counts.usage_bytes
        assert counts.metadata == {"a": "b"}
