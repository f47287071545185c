"""What a run says: misses, unused recordings, marks that cannot be meant, the verdict."""

from __future__ import annotations

import json

from tests.doubles.upstream import json_reply
from tests.plugin.conftest import KEY, Project, Upstream

ONE = ("@pytest.mark.cassette", "def test_it():", "    assert ask('Tell me of whales') == 'one'")
IT = "cassettes/test_it/test_it.jsonl"


def recorded(project: Project, upstream: Upstream, *lines: str) -> None:
    upstream.answers("one", "two")
    project.live(upstream)
    project.tests(*lines)
    project.passes("--fakeai-record=once")


def test_a_miss_explains_itself_in_the_report(project: Project, upstream: Upstream) -> None:
    recorded(project, upstream, *ONE)
    project.tests(*(line.replace("whales", "dolphins") for line in ONE))
    said = project.fails()
    assert "fakeai: not on the cassette" in said
    assert "There is no recording of POST /v1/chat/completions. Nearest:" in said
    assert "nearest: " in said
    assert "differs in" in said
    assert "dolphins" in said
    assert "To record it: pytest --fakeai-record=new test_it.py::test_it" in said
    assert f"{IT}: 1 MISS" in said


def test_a_miss_says_what_the_mark_would_have_to_say(project: Project, upstream: Upstream) -> None:
    recorded(project, upstream, *(line.replace("whales", "run 17") for line in ONE))
    project.tests(*(line.replace("whales", "run 18") for line in ONE))
    said = project.fails()
    assert "is found with match_pattern=[" in said
    assert "--match-pattern" not in said


def test_a_miss_fails_a_test_that_would_have_swallowed_it(
    project: Project, upstream: Upstream
) -> None:
    project.tests(
        "@pytest.mark.cassette",
        "def test_it():",
        "    try: ask()",
        "    except Exception: pass",
    )
    said = project.fails()
    assert "The cassette is empty" in said
    assert "To record it: pytest --fakeai-record=once test_it.py::test_it" in said
    # The summary says it again where there is no terminal to cut it short.
    assert said.partition("short test summary")[0].count("The cassette is empty") == 1
    project.run().assert_outcomes(failed=1)


def test_a_miss_in_a_fixture_counts_before_the_test_and_after_it(project: Project) -> None:
    project.tests(
        "@pytest.fixture",
        "def answer():",
        "    try: ask()",
        "    except openai.NotFoundError: pass",
        "    yield",
        "    try: ask('Later')",
        "    except openai.NotFoundError: pass",
        "@pytest.mark.cassette",
        "def test_it(answer): raise AssertionError('never')",
        "@pytest.fixture",
        "def goodbye():",
        "    yield",
        "    try: ask('Goodbye')",
        "    except openai.NotFoundError: pass",
        "@pytest.mark.cassette",
        "def test_end(goodbye): pass",
    )
    project.run().assert_outcomes(failed=1, errors=2, passed=1)


def test_strict_fails_for_what_is_not_asked_any_more(project: Project, upstream: Upstream) -> None:
    recorded(project, upstream, *ONE, "    assert ask('And of krill') == 'two'")
    unused = project.records()[1]["id"]
    project.tests(*ONE)
    said = project.passes()
    assert "1 HIT, 0 NEW, 0 STALE, 0 MISS, 1 UNUSED (1 cassette)" in said
    assert f"{IT}: 1 of 2 UNUSED" in said
    assert f"{unused} POST /v1/chat/completions gpt-4o" in said
    said = project.fails("--fakeai-strict")
    assert "that this test did not ask for:" in said
    assert "pytest --fakeai-record=all test_it.py::test_it" in said


def test_unused_recordings_of_a_test_that_failed_are_no_finding(
    project: Project, upstream: Upstream
) -> None:
    recorded(project, upstream, *ONE, "    assert ask('And of krill') == 'two'")
    project.tests(*ONE, "    raise AssertionError('first')", "    ask('And of krill')")
    said = project.fails("--fakeai-strict")
    assert "0 UNUSED" in said
    assert "did not ask for" not in said


def test_a_test_that_is_expected_to_fail_may(project: Project, upstream: Upstream) -> None:
    recorded(
        project, upstream, "@pytest.mark.xfail(strict=True)", *ONE, "    raise ValueError('known')"
    )
    assert len(project.records()) == 1
    project.run("--fakeai-strict").assert_outcomes(xfailed=1)


def test_marks_that_cannot_be_meant_say_so(project: Project) -> None:
    project.tests(
        "@pytest.mark.cassette(matcher='agent')",
        "def test_setting(): pass",
        "@pytest.mark.cassette(mode='record')",
        "def test_mode(): pass",
        "@pytest.mark.cassette('a', 'b')",
        "def test_names(): pass",
        "@pytest.mark.cassette(cassette='x.jsonl')",
        "def test_path(): pass",
        "@pytest.mark.cassette(match='fuzzy')",
        "def test_value(): pass",
    )
    result = project.run()
    result.assert_outcomes(errors=5)
    said = result.stdout.str()
    for words in (
        "cassette: matcher=: there is no such setting. Did you mean match=?",
        "cassette: mode='record' is none of replay, hybrid, synth",
        "cassette: a mark takes one name, a string",
        "cassette: the name comes first: @pytest.mark.cassette('name')",
        "cassette: match=: Input should be 'exact', 'agent' or 'loose'",
    ):
        assert words in said
    assert "Traceback" not in said


def test_a_cassette_that_is_damaged_says_so(project: Project, upstream: Upstream) -> None:
    recorded(project, upstream, *ONE)
    (project.path / IT).write_text('{"kind":"head","version":99}\n')
    result = project.run()
    result.assert_outcomes(errors=1)
    assert "version 99" in result.stdout.str()


def test_other_modes_need_no_recording(project: Project, upstream: Upstream) -> None:
    recorded(project, upstream, *ONE)
    project.offline()
    project.tests(
        "@pytest.mark.cassette('test_it', mode='hybrid')",
        "def test_hybrid(fakeai):",
        "    assert ask('Tell me of whales') == 'one'",
        "    assert ask('Something else')",
        "    assert [call.source for call in fakeai.calls] == ['HIT', 'SYNTH']",
        "@pytest.mark.cassette(mode='synth', seed=3)",
        "def test_synth(fakeai):",
        "    assert ask('Tell me of whales')",
        "    assert fakeai.calls[0].source == 'SYNTH'",
    )
    before = project.cassettes()
    project.passes("--fakeai-strict")
    project.passes("--fakeai-record=once", "-k", "synth")
    assert project.cassettes() == before


def test_the_options_are_explained(project: Project) -> None:
    said = project.passes("--help")
    for words in ("--fakeai-record={none,once,new,all}", "--fakeai-strict", "fakeai_cassettes",
                  "fakeai_allow_hosts", "fakeai_settings"):  # fmt: skip
        assert words in said
    assert "@pytest.mark.cassette(name=None, *, proxy=False" in project.passes("--markers")


def test_no_key_is_in_what_is_said(project: Project, upstream: Upstream) -> None:
    project.live(upstream)
    project.tests("@pytest.mark.cassette", f"def test_it(): ask('My key is {KEY}')")
    said = project.fails("--tb=line")
    assert "There is no recording" in said
    assert KEY not in said


def test_the_verdict_has_dollars_and_goes_into_a_file(project: Project, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    upstream.answers(json_reply({"model": "gpt-4o", "choices": [], "usage": usage}))
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette",
        "def test_it():",
        "    with openai.OpenAI() as sdk:",
        "        sdk.chat.completions.create(model='gpt-4o', messages=[])",
    )
    assert (
        "1 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette); $0 saved, $0.0125 spent"
        in project.passes("--fakeai-record=once")
    )
    said = project.passes("--fakeai-report=told.json")
    assert "1 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette); $0.0125 saved, $0 spent" in said
    told = json.loads((project.path / "told.json").read_text())
    assert told["counts"] == {"HIT": 1, "NEW": 0, "STALE": 0, "MISS": 0, "UNUSED": 0}
    assert (told["saved_usd"], told["spent_usd"]) == (0.0125, 0.0)
    assert told["cassettes"][IT]["saved_usd"] == 0.0125
