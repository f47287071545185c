"""Assistants, threads and runs of several projects: whose they are, and who pays."""

from __future__ import annotations

from tests.conftest import Serve
from tests.services.assistant_asking import QUIET, STORY, assistant, thread
from tests.services.refusing import refused
from tests.services.test_keys import ADMIN, connected, robot

pytestmark = QUIET


async def test_what_is_one_projects_is_nobody_elses(serve: Serve) -> None:
    app = await serve(mode="synth", auth="required", admin_key=ADMIN)
    async with connected(app, ADMIN) as admin:
        one, other = await robot(admin, "One"), await robot(admin, "Other")
    async with connected(app, one.secret) as ours, connected(app, other.secret) as theirs:
        maker, place = await assistant(ours), await thread(ours, STORY)
        run = await ours.beta.threads.runs.create_and_poll(
            thread_id=place, assistant_id=maker, poll_interval_ms=20
        )
        assert run.status == "completed"
        own = await thread(theirs, STORY)
        for asking in (
            theirs.beta.assistants.retrieve(maker),
            theirs.beta.threads.retrieve(place),
            theirs.beta.threads.messages.list(place),
            theirs.beta.threads.runs.retrieve(run.id, thread_id=place),
            theirs.beta.threads.runs.retrieve(run.id, thread_id=own),
            theirs.beta.threads.runs.steps.list(run.id, thread_id=place),
            theirs.beta.threads.runs.create(own, assistant_id=maker),
            theirs.beta.threads.delete(place),
        ):
            status, *_ = await refused(asking)
            assert status == 404
        assert [one async for one in theirs.beta.assistants.list()] == []
    assert run.usage is not None
    async with connected(app, ADMIN) as admin:
        page = await admin.admin.organization.usage.completions(
            start_time=run.created_at - 60, group_by=["project_id", "api_key_id", "model"]
        )
    (result,) = [result for bucket in page.data for result in bucket.results]
    assert result.object == "organization.usage.completions.result"
    assert (result.project_id, result.api_key_id, result.model) == (
        one.project, one.key_id, "gpt-4o",
    )  # fmt: skip
    assert (result.input_tokens, result.output_tokens) == (
        run.usage.prompt_tokens, run.usage.completion_tokens,
    )  # fmt: skip
