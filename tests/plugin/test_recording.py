"""What `--fakeai-record` records, and what the files are like."""

from __future__ import annotations

import json

import pytest

from fakeai_proxy.cassette.findings import verify_secrets
from fakeai_proxy.cassette.format import Interaction, decode
from tests.doubles.program import ROOT
from tests.doubles.upstream import Answer
from tests.plugin.conftest import KEY, Project, Upstream, chat, stream

IT = "cassettes/test_it/test_it.jsonl"
ONE = (
    "@pytest.mark.cassette",
    "def test_it():",
    "    assert ask('Hello') == 'one'",
)
TWO = (*ONE, "    assert ask('More') == 'two'")


def test_once_records_what_is_missing_and_then_nothing_is_asked_again(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one", "another")
    project.live(upstream)
    project.tests(*ONE)
    said = project.passes("--fakeai-record=once")
    assert "0 HIT, 1 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette)" in said
    assert f"{IT}: 1 NEW" in said
    assert list(project.cassettes()) == [IT]
    before = project.cassettes()
    for record in ("once", "none"):
        said = project.passes(f"--fakeai-record={record}")
        assert "1 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette)" in said
    assert upstream.asked == 1
    assert project.cassettes() == before


def test_without_a_network_or_a_key_the_answers_are_the_recorded_ones(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(*ONE)
    project.passes("--fakeai-record=once")
    project.offline()
    project.passes()
    assert upstream.asked == 1


def test_nothing_is_recorded_unless_it_is_asked_for(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(*ONE)
    said = project.fails()
    assert "To record it: pytest --fakeai-record=once test_it.py::test_it" in said
    assert (upstream.asked, project.cassettes()) == (0, {})


def test_new_adds_what_is_missing_and_leaves_the_rest_as_it_is(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one", "two", "three")
    project.live(upstream)
    project.tests(*ONE)
    project.passes("--fakeai-record=new")
    before = project.cassettes()[IT]
    project.tests(*TWO)
    assert "To record it: pytest --fakeai-record=new" in project.fails("--fakeai-record=once")
    said = project.passes("--fakeai-record=new")
    assert "1 HIT, 1 NEW" in said
    after = project.cassettes()[IT]
    assert after.startswith(before)
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    project.passes("--fakeai-strict")
    assert upstream.asked == 2


def test_all_records_anew_and_changes_only_the_lines_of_other_answers(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one", "two")
    project.live(upstream)
    project.tests(*TWO)
    project.passes("--fakeai-record=once")
    before = project.cassettes()[IT].splitlines()
    upstream.answers("one", "two")
    said = project.passes("--fakeai-record=all")
    assert "0 HIT, 0 NEW" in said
    assert project.cassettes()[IT].splitlines() == before
    assert upstream.asked == 4
    upstream.answers("one", chat_of_a_later_time("two"))
    assert "1 NEW" in project.passes("--fakeai-record=all")
    after = project.cassettes()[IT].splitlines()
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert '"id":"' + json.loads(before[2])["id"] in after[2]


def chat_of_a_later_time(text: str) -> Answer:
    answer = chat(text)
    (body,) = answer.steps
    assert isinstance(body, bytes)
    answer.steps = [body.replace(b'"created": 1', b'"created": 2')]
    return answer


def test_all_forgets_what_is_not_asked_any_more(project: Project, upstream: Upstream) -> None:
    upstream.answers("one", "two", "one")
    project.live(upstream)
    project.tests(*TWO)
    project.passes("--fakeai-record=once")
    project.tests(*ONE)
    project.passes("--fakeai-record=all")
    assert len(project.records()) == 1


def test_two_recordings_differ_in_nothing_but_times(project: Project, upstream: Upstream) -> None:
    project.tests(*TWO)
    texts = []
    for key in (KEY, KEY.upper().replace("SK-", "sk-")):
        upstream.answers("one", "two")
        project.live(upstream)
        project.monkeypatch.setenv("OPENAI_API_KEY", key)
        project.passes("--fakeai-record=once")
        texts.append(project.cassettes()[IT])
        (project.path / IT).unlink()
    first, second = ([json.loads(line) for line in text.splitlines()] for text in texts)
    for record in first[1:] + second[1:]:
        for timed in ("cuts", "gaps_us", "head_us"):
            record["response"].pop(timed)
        record["view"].pop("ttft_ms")
    assert first == second


def test_no_secret_is_in_a_cassette(project: Project, upstream: Upstream) -> None:
    upstream.answers(chat(f"Your key is {KEY}"))
    project.live(upstream)
    project.tests("@pytest.mark.cassette", "def test_it():", f"    assert ask('I have {KEY}')")
    project.passes("--fakeai-record=once")
    text = project.cassettes()[IT]
    assert KEY not in text
    found = [decode(line.encode()) for line in text.splitlines()[1:]]
    assert [verify_secrets(one) for one in found if isinstance(one, Interaction)] == [[]]
    project.passes()


def test_what_a_failing_test_recorded_is_not_kept(project: Project, upstream: Upstream) -> None:
    upstream.answers("something else")
    project.live(upstream)
    project.tests(*ONE)
    said = project.fails("--fakeai-record=once")
    assert "what was recorded is not kept, because the test failed" in said
    assert project.cassettes() == {}
    upstream.answers("one", "something else")
    project.passes("--fakeai-record=once")
    before = project.cassettes()
    project.fails("--fakeai-record=all")
    assert project.cassettes() == before
    project.passes("--fakeai-strict")


def test_a_cassette_of_another_make_is_added_to_and_otherwise_left_alone(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("two")
    shipped = (ROOT / "cassettes/quickstart.jsonl").read_text()
    there = project.path / IT
    there.parent.mkdir(parents=True)
    there.write_text(shipped.removesuffix("\n"))
    models = "httpx.get(os.environ['OPENAI_BASE_URL'] + '/models/gpt-4o-mini').json()"
    marked = ("import os", "@pytest.mark.cassette", "def test_it():")
    project.tests(*marked, f"    assert {models}['id'] == 'gpt-4o-mini'")
    project.passes("--fakeai-record=new")
    assert there.read_text() == shipped.removesuffix("\n")
    project.live(upstream)
    project.tests(*marked, "    assert ask('More') == 'two'")
    project.passes("--fakeai-record=new")
    assert there.read_text().startswith(shipped)
    assert len(there.read_text().splitlines()) == len(shipped.splitlines()) + 1
    project.passes()


def test_streams_are_recorded_and_replayed(project: Project, upstream: Upstream) -> None:
    upstream.answers(stream("Good ", "day"))
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette",
        "def test_it(fakeai):",
        "    with openai.OpenAI() as sdk:",
        "        asked = [{'role': 'user', 'content': 'Hello'}]",
        "        frames = sdk.chat.completions.create(model='gpt-4o', messages=asked, stream=True)",
        "        said = [frame.choices[0].delta.content for frame in frames]",
        "    assert said == ['Good ', 'day']",
        "    assert fakeai.calls.assert_called_once(model='gpt-4o').answer == 'Good day'",
    )
    project.passes("--fakeai-record=once")
    project.passes()
    assert upstream.asked == 1


def test_each_test_has_a_file_of_its_own_with_a_safe_name(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "pytestmark = pytest.mark.cassette",
        "@pytest.mark.parametrize('text', ['a', 'b/c', '../d', 'b:c', pytest.param('x', id='x' * 300)])",
        "def test_it(text): ask(text)",
        "class TestGroup:",
        "    def test_in_a_class(self): ask()",
        "@pytest.mark.cassette('a name')",
        "def test_named(): ask()",
    )
    project.passes("--fakeai-record=once")
    names = [name.removeprefix("cassettes/test_it/") for name in project.cassettes()]
    assert [name for name in names if "-" not in name] == [
        "TestGroup.test_in_a_class.jsonl",
        "test_it[a].jsonl",
    ]
    assert len(names) == 7
    assert [name for name in names if name.startswith("a_name-")]
    assert len([name for name in names if name.startswith("test_it[b_c]-")]) == 2
    assert [name for name in names if name.startswith("test_it[xxxx")]
    assert max(map(len, names)) < 150
    project.offline()
    project.passes("--fakeai-strict")


def test_the_folder_is_where_the_configuration_says(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.pytester.makeini("[pytest]\nfakeai_cassettes = recorded\n")
    (project.path / "sub").mkdir()
    project.tests(**{"sub/test_it": "\n".join(["import pytest, httpx, os", *ASKED])})
    project.passes("--fakeai-record=once")
    assert list(project.cassettes()) == ["recorded/sub/test_it/test_it.jsonl"]
    project.passes()


ASKED = (
    "@pytest.mark.cassette",
    "def test_it():",
    "    url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'",
    "    assert httpx.post(url, json={'model': 'm', 'messages': []}).status_code == 200",
)


@pytest.mark.parametrize("place", ["mark", "ini"])
def test_settings_come_from_marks_and_from_the_configuration(
    project: Project, upstream: Upstream, place: str
) -> None:
    upstream.answers("one")
    ini = f"upstream = {upstream.url}\n    match_ignore = $.user, $.seed"
    mark = f"upstream={upstream.url!r}, match_ignore=['$.user', '$.seed']"
    if place == "ini":
        project.pytester.makeini(f"[pytest]\nfakeai_settings =\n    {ini}\n")
    project.monkeypatch.setenv("OPENAI_API_KEY", KEY)
    project.tests(
        "import os",
        f"@pytest.mark.cassette({mark if place == 'mark' else ''})",
        "def test_it():",
        "    assert ask(user=os.environ['WHO'], seed=len(os.environ['WHO'])) == 'one'",
    )
    project.monkeypatch.setenv("WHO", "me")
    project.passes("--fakeai-record=once")
    project.monkeypatch.setenv("WHO", "somebody")
    project.passes()


def test_match_agent_finds_what_differs_in_ids(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "import uuid",
        "@pytest.mark.cassette(match='agent')",
        "def test_it():",
        "    assert ask(f'Session {uuid.uuid4()}') == 'one'",
        "@pytest.mark.cassette",
        "def test_exact():",
        "    assert ask(f'Session {uuid.uuid4()}') == 'one'",
    )
    project.passes("--fakeai-record=once")
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)


def test_a_cassette_that_tests_share_is_recorded_by_all_of_them(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one", "two")
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette('shared')",
        "def test_a(): assert ask('Hello') == 'one'",
        "@pytest.mark.cassette('shared')",
        "def test_b(): assert ask('More') == 'two'",
    )
    project.passes("--fakeai-record=once")
    assert len(project.records("cassettes/test_it/shared.jsonl")) == 2
    said = project.passes("--fakeai-strict")
    assert "2 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette)" in said
    said = project.fails("--fakeai-strict", "-k", "test_a")
    assert "cassettes/test_it/shared.jsonl: 1 of 2 UNUSED" in said


def test_large_bodies_lie_beside_the_cassette(project: Project, upstream: Upstream) -> None:
    upstream.answers(chat("x" * (2 << 20)))
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette", "def test_it():", "    assert len(ask('Hello')) == 2 << 20"
    )
    project.passes("--fakeai-record=once")
    assert list((project.path / f"{IT}.blobs").glob("*/*.zst"))
    project.passes()
    assert upstream.asked == 1
