"""`cassette diff`, `play`, `edit`, `cat` and `init-git`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.cassette.matching import raw_key
from tests.cli.test_cassette_packing import JSON, held, make, run, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "c.fcz")


@pytest.fixture
def changed(path: Path, tmp_path: Path) -> Callable[[Callable[[list[Any]], None]], Path]:
    """A copy in which something is otherwise; the function is given the lines after the head."""

    def copy(change: Callable[[list[Any]], None]) -> Path:
        target = tmp_path / "after.jsonl"
        target.unlink(missing_ok=True)
        said("unpack", path, target)
        head, *lines = map(json.loads, target.read_text("utf-8").splitlines())
        change(lines)
        for line in lines:
            # As a person would leave them: made anew when it is read.
            for name in ("key", "raw_key", "simhash"):
                line.pop(name, None)
        target.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)), "utf-8")
        return target

    return copy


Changed = Callable[[Callable[[list[Any]], None]], Path]


def kinds(path: Path, after: Path, *options: str) -> tuple[dict[str, int], list[Any], int]:
    result = run("diff", "--json", *options, path, after)
    told = json.loads(result.stdout)
    counts = {name: count for name, count in told["counts"].items() if count}
    return counts, told["changes"], result.exit_code


def test_equal_recordings_do_not_differ(path: Path, changed: Changed) -> None:
    after = changed(lambda lines: None)
    assert kinds(path, after)[0::2] == ({"same": 7}, 0)
    assert "7 same" in said("diff", path, after)


def test_text_that_differs_is_told_and_no_failure(path: Path, changed: Changed) -> None:
    def other(lines: list[Any]) -> None:
        frames = lines[2]["response"]["body"]["frames"]
        lines[2]["response"]["body"]["frames"] = [one.replace("house", "hours") for one in frames]

    counts, changes, status = kinds(path, changed(other))
    assert (counts, status) == ({"same": 6, "text": 1}, 0)
    assert "'lighthouse 2' became 'lighthours 2'" in changes[0]["details"][0]
    assert kinds(path, changed(other), "--fail-on", "text")[2] == 1


def test_a_shape_that_differs_is_a_change_of_the_providers(path: Path, changed: Changed) -> None:
    def other(lines: list[Any]) -> None:
        frames = lines[1]["response"]["body"]["frames"]
        lines[1]["response"]["body"]["frames"] = [
            one.replace('"index":0,', '"index":0,"logprobs":null,') for one in frames
        ]
        lines[1]["response"]["headers"].append(["x-served-by", "b"])

    counts, changes, status = kinds(path, changed(other))
    assert (counts, status) == ({"same": 6, "shape": 1}, 1)
    assert "new: event.choices[].logprobs: null" in changes[0]["details"]
    assert "new: header x-served-by" in changes[0]["details"]


def test_requests_that_changed_went_or_came(path: Path, changed: Changed) -> None:
    def other(lines: list[Any]) -> None:
        lines[0]["request"]["body"] = {"json": {"model": "m0", "n": 0, "temperature": 1}}
        lines[6]["request"]["target"] = "/picture/other"
        lines[6]["response"]["status"] = 404

    counts, changes, status = kinds(path, changed(other))
    assert (counts, status) == ({"same": 5, "request": 1, "removed": 1, "added": 1}, 1)
    assert "body.temperature: recorded (absent), given 1" in changes[0]["details"]


def test_a_status_and_the_timing_are_told(path: Path, changed: Changed) -> None:
    def other(lines: list[Any]) -> None:
        lines[3]["response"]["status"] = 529
        for line in lines[:6]:
            line["response"]["gaps_us"][0] = 900_000

    result = run("diff", path, changed(other))
    assert "200 became 529" in result.stdout
    assert "ttft_ms: p50 200 to 900" in result.stdout
    assert result.exit_code == 1


def test_play_says_what_the_model_said(path: Path) -> None:
    assert said("play", path, f"{3:016x}", "--speed", "inf") == "lighthouse 3\n"
    assert said("play", path, f"{3:016x}", "--cap-gap", "0") == "lighthouse 3\n"
    assert said("play", path, f"{3:016x}", "--speed", "inf", "--raw").count("data: ") == 3
    assert "no text to play" in run("play", path, f"{900:016x}").output


def _editor(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "editor.py"
    program.write_text(
        f"import json, sys\nfile = sys.argv[1]\ntext = open(file).read()\n{script}\n"
    )
    monkeypatch.setenv("VISUAL", f"python3 {program}")


def test_edit_changes_one_record_and_makes_its_cuts_and_keys_anew(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(path)
    script = (
        "text = text.replace('house', 'house of stone').replace('\"n\": 2', '\"n\": 77')\n"
        "open(file, 'w').write(text)"
    )
    _editor(tmp_path, script, monkeypatch)
    assert said("edit", path, f"{2:016x}") == f"{2:016x} is changed\n"
    after = held(path)
    changed_ones = [
        k for k, (one, other) in enumerate(zip(before, after, strict=True)) if one != other
    ]
    assert changed_ones == [2]
    record, body = after[2]
    assert b"house of stone" in body
    assert record.response is not None
    assert sum(record.response.cuts) == len(body)
    assert len(record.response.cuts) == 3
    asked = b'{"model": "m0", "n": 77}'
    assert record.raw_key == raw_key("POST", "/v1/chat/completions", JSON, asked)


@pytest.mark.parametrize(
    "script",
    [
        "open(file, 'w').write(text[:-5])",
        "open(file, 'w').write(text.replace('\"close\"', '\"drop\"'))",
        "open(file, 'w').write(text.replace('0000000000000002', '0000000000000003'))",
        "open(file, 'w').write(text.replace('\"status\": 200', '\"stats\": 200'))",
    ],
)
def test_what_no_longer_reads_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    before = held(path)
    _editor(tmp_path, script, monkeypatch)
    result = run("edit", path, f"{2:016x}")
    assert result.exit_code == 1
    assert "Nothing was changed" in result.output
    assert held(path) == before


def test_cat_prints_lines_whatever_the_form(path: Path, tmp_path: Path) -> None:
    live = said("cat", path)
    said("seal", path)
    [sealed] = path.glob("seg-*")
    lines = [json.loads(line)["kind"] for line in said("cat", sealed).splitlines()]
    assert sorted(lines) == [*["close"] * 7, "head", "open"]
    assert {line for line in live.splitlines() if '"close"' in line} == {
        line for line in said("cat", path).splitlines() if '"close"' in line
    }


def test_git_shows_compressed_cassettes_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    monkeypatch.chdir(repository)
    for _ in range(2):
        said("init-git")
    assert (repository / ".gitattributes").read_text().splitlines() == [
        "*.jsonl.zst diff=fakeai", "*.fcz/** diff=fakeai",
    ]  # fmt: skip
    shown = subprocess.run(
        ["git", "config", "diff.fakeai.textconv"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "fakeai-proxy cassette cat\n"
    monkeypatch.chdir(tmp_path)
    assert run("init-git").exit_code == 1


def test_a_difference_is_told_in_recorded_order_of_sealed_recordings_too(
    path: Path, tmp_path: Path, changed: Changed
) -> None:
    def other(lines: list[Any]) -> None:
        for line in lines[:6]:
            frames = line["response"]["body"]["frames"]
            line["response"]["body"]["frames"] = [one.replace("house", "hours") for one in frames]
        lines.append({**lines.pop(1), "id": f"{800:016x}"})

    after = changed(other)
    told = run("diff", "--json", path, after).stdout
    sealed = tmp_path / "sealed.fcz"
    said("pack", after, sealed)
    said("seal", path)
    assert run("diff", "--json", path, sealed).stdout == told
    assert [change["before"] for change in json.loads(told)["changes"]] == [
        f"{number:016x}" for number in range(6)
    ]


def test_what_is_found_is_json_for_programs(path: Path) -> None:
    checked = json.loads(said("verify", "--secrets", "--json", path))
    assert checked == {"recordings": 7, "findings": []}
    found = [json.loads(line) for line in said("grep", "--json", "lighthouse", path).splitlines()]
    assert {*found[0]} == {"id", "where", "line"}
    assert all("lighthouse" in one["line"] for one in found)
    record = json.loads(said("show", "--json", path, found[0]["id"]))
    assert record["id"] == found[0]["id"]
    assert record["response"]["status"] == 200
