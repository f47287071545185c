"""The work on a run: every item is asked, graded and kept, a few in each commit.

A row of the data is read, asked and graded together with a few others; what came of them is one commit
with the place of the next, so that no item is told twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter

from fakeai_proxy.services.bulk.asking import reply_to
from fakeai_proxy.services.bulk.lines import Line, Lines, Place, object_in
from fakeai_proxy.services.evals import gathering, sampling
from fakeai_proxy.services.evals.record import ITEMS, PRIVATE, RUNS, moved
from fakeai_proxy.services.evals.wire import Criterion
from fakeai_proxy.services.graders.grading import Graders, Verdict
from fakeai_proxy.services.graders.template import NoSuchNameError
from fakeai_proxy.services.graders.wire import Grader, LabelModel, ScoreModel, StringCheck
from fakeai_proxy.services.job import Asked, Job, Work
from fakeai_proxy.store import Insert, Row, Tally, Write

#: Items that are asked at a time, and committed together.
AT_ONCE = 8
_HEADERS = ((b"content-type", b"application/json"),)
_CRITERION: TypeAdapter[Grader] = TypeAdapter(Criterion)


class _Made(NamedTuple):
    """What came of one item. `usage` is by model: times asked, prompt, completion, cached tokens."""

    number: int
    datum: Mapping[str, Any]
    sample: sampling.Sample
    results: list[dict[str, Any]]
    usage: dict[str, tuple[int, int, int, int]]
    #: For the organization's account.
    tallies: Sequence[Tally]

    @property
    def status(self) -> str:
        if self.sample.shown["error"] is not None:
            return "error"
        return "pass" if all(one["passed"] for one in self.results) else "fail"


class _Run:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.row = work.row
        self.state: dict[str, Any] = work.row.document[PRIVATE]
        self.source: dict[str, Any] = work.row.document["data_source"]
        self.criteria = [(one, _criterion(one)) for one in self.state["criteria"]]
        self.graders = Graders(work.dice, work.catalogue, work.embedder, work.runs_python)

    # --- one item -----------------------------------------------------------------------------------

    async def item(self, line: Line) -> _Made:
        datum = object_in(line) or {}
        if "item" not in datum:
            datum = {"item": datum}
        sample, tallies = await self._sample(datum)
        usage: dict[str, tuple[int, int, int, int]] = {}
        if sample.usage["total_tokens"]:
            used = sample.usage
            _count(
                usage, self.source["model"], used["prompt_tokens"], used["completion_tokens"],
                used["cached_tokens"],
            )  # fmt: skip
        results: list[dict[str, Any]] = []
        if sample.shown["error"] is None:
            with self.work.clock.hold():
                verdicts = await asyncio.to_thread(self._graded, sample, datum["item"])
            for (given, grader), verdict in zip(self.criteria, verdicts, strict=True):
                for model, (prompt, completion) in verdict.usage().items():
                    _count(usage, model, prompt, completion, 0)
                results.append(_result(given, grader, verdict))
        return _Made(line.number - 1, datum, sample, results, usage, tallies)

    def _graded(self, sample: sampling.Sample, item: Any) -> list[Verdict]:
        return [self.graders.grade(grader, sample.values, item) for _, grader in self.criteria]

    async def _sample(self, datum: Mapping[str, Any]) -> tuple[sampling.Sample, Sequence[Tally]]:
        """And what it used."""
        source = self.source
        if not source.get("model") or not source.get("input_messages"):
            return sampling.given_sample(source, datum), ()
        try:
            messages = sampling.messages_for(source, datum)
        except NoSuchNameError as error:
            told = {"code": "invalid_variable", "message": f"'{error.name}' is not in the item."}
            return sampling.failed_sample(source, [], {"error": told}), ()
        chat = source["type"] == "completions"
        body = (sampling.chat_body if chat else sampling.response_body)(source, messages)
        asked = Asked(
            "POST", "/v1/chat/completions" if chat else "/v1/responses", _HEADERS,
            orjson.dumps(body), tier="", project=self.state["project"],
            key_id=self.state["key_id"], user_id=self.state["user_id"], is_accounted=True,
        )  # fmt: skip
        reply = await reply_to(self.work, asked)
        if not reply.is_ok or reply.body is None:
            return sampling.failed_sample(source, messages, reply.body), ()
        make = sampling.chat_sample if chat else sampling.response_sample
        return make(source, messages, reply.body), reply.answered.tallies

    # --- commits ------------------------------------------------------------------------------------

    async def keep(self, made: list[_Made], after: Place) -> None:
        """One commit. Raises LeaseLost."""
        now = self.work.clock.wall()
        writes: list[Write] = [Insert(self._item_row(one, now)) for one in made]
        writes += [tally for one in made for tally in one.tallies]

        def counted(row: Row) -> Row:
            state = {**row.document[PRIVATE], "offset": after.offset, "number": after.number}
            row = moved(row, "in_progress")
            return row.merged(**{PRIVATE: state}, **_counts(row.document, made))

        found, *_ = await self.work.store.commit(self.work.change(counted), *writes)
        assert found is not None, "a change answers with its row"
        self.row = found

    def _item_row(self, made: _Made, now: float) -> Row:
        run = self.row.key
        item_id = ITEMS.prefix + self.work.dice.text_id(
            run.id, ITEMS.kind, made.number, length=ITEMS.id_length
        )
        document = {
            "object": ITEMS.object, "id": item_id, "created_at": int(now), "run_id": run.id,
            "eval_id": self.row.document["eval_id"], "status": made.status,
            "datasource_item_id": made.number, "datasource_item": made.datum["item"],
            "results": made.results, "sample": made.sample.shown,
        }  # fmt: skip
        return Row(run.child(ITEMS.kind, item_id), document, now, tags={"status": made.status})

    async def end(self, status: str, error: Mapping[str, str] | None = None) -> None:
        now = self.work.clock.wall()
        told = self.work.webhooks.announce(
            self.work.dice,
            self.state["project"],
            "eval.run.succeeded" if status == "completed" else "eval.run.failed",
            self.row.key.id,
            now,
        )

        def ended(row: Row) -> Row:
            return replace(moved(row.merged(error=error), status), due_at=None, owner="")

        await self.work.store.commit(self.work.change(ended), *told)

    # --- data ---------------------------------------------------------------------------------------

    async def gather(self) -> None:
        """What is stored becomes the run's own data. Raises LeaseLost."""
        kind = self.source["source"]["type"]
        found = {
            "stored_completions": gathering.stored_completions,
            "responses": gathering.stored_responses,
        }[kind]
        rows = [
            orjson.dumps(one) + b"\n"
            async for one in found(self.work, self.state["project"], self.source["source"])
        ]
        blob = await self.work.store.blobs.put(rows or [b"\n"])
        change = self.work.change(lambda row: replace(row, blob=blob.name))
        (kept,) = await self.work.store.commit(change)
        assert kept is not None, "a change answers with its row"
        self.row = kept

    async def lines(self) -> AsyncIterator[list[Line]]:
        assert self.row.blob is not None, "a run has its data"
        start = Place(self.state["offset"], self.state["number"])
        lines = Lines(self.work.store.blobs, self.row.blob, self.work.clock, start)
        try:
            while True:
                found: list[Line] = []
                while len(found) < AT_ONCE and (line := await lines.next()) is not None:
                    found.append(line)
                if not found:
                    return
                yield found
        finally:
            lines.close()


async def run(work: Work) -> None:
    job = _Run(work)
    if job.row.blob is None:
        await job.gather()
    async with aclosing(job.lines()) as batches:  # type: ignore[type-var]  # an async generator
        async for lines in batches:
            made = await asyncio.gather(*[job.item(line) for line in lines])
            await job.keep(list(made), lines[-1].after)
    if job.row.document["result_counts"]["total"]:
        await job.end("completed")
    else:
        error = {"code": "no_data", "message": "The data source has no rows to evaluate."}
        await job.end("failed", error)


def _criterion(given: Mapping[str, Any]) -> Grader:
    return _CRITERION.validate_python({k: v for k, v in given.items() if k != "id"})


def _count(
    usage: dict[str, tuple[int, int, int, int]], model: str, prompt: int, completion: int,
    cached: int,
) -> None:  # fmt: skip
    times, prompts, completions, from_cache = usage.get(model, (0, 0, 0, 0))
    usage[model] = times + 1, prompts + prompt, completions + completion, from_cache + cached


def _result(given: Mapping[str, Any], grader: Grader, verdict: Verdict) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": given["id"], "type": grader.type, "score": verdict.score,
        "passed": not verdict.errors and verdict.score >= _threshold(grader), "sample": None,
    }  # fmt: skip
    if verdict.label is not None:
        result["label"] = verdict.label
    if verdict.errors:
        result["errors"] = verdict.errors
    return result


def _threshold(grader: Grader) -> float:
    """What has to be reached: said, or everything, or of a range the middle."""
    if isinstance(grader, StringCheck | LabelModel):
        return 1.0
    said: float | None = getattr(grader, "pass_threshold", None)
    if said is not None:
        return said
    low, high = (grader.range or (0.0, 1.0)) if isinstance(grader, ScoreModel) else (0.0, 1.0)
    return (low + high) / 2


def _counts(document: Mapping[str, Any], made: list[_Made]) -> dict[str, Any]:
    """The run's sums with these items in them."""
    names = {"pass": "passed", "fail": "failed", "error": "errored"}
    counts = dict(document["result_counts"])
    criteria = {
        one["testing_criteria"]: dict(one) for one in document["per_testing_criteria_results"]
    }
    usage = {one["model_name"]: dict(one) for one in document["per_model_usage"]}
    for one in made:
        counts["total"] += 1
        counts[names[one.status]] += 1
        for result in one.results:
            criteria[result["name"]]["passed" if result["passed"] else "failed"] += 1
        for model, (times, prompt, completion, cached) in one.usage.items():
            used = usage.setdefault(model, {
                "model_name": model, "invocation_count": 0, "prompt_tokens": 0,
                "completion_tokens": 0, "total_tokens": 0, "cached_tokens": 0,
            })  # fmt: skip
            used["invocation_count"] += times
            used["prompt_tokens"] += prompt
            used["completion_tokens"] += completion
            used["total_tokens"] += prompt + completion
            used["cached_tokens"] += cached
    return {
        "result_counts": counts, "per_testing_criteria_results": list(criteria.values()),
        "per_model_usage": list(usage.values()),
    }  # fmt: skip


RUNNING = Job(kind=RUNS.kind, run=run)
