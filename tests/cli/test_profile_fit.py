"""`profiles fit`, on measured rows, as a started program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fakeai_proxy.cassette.format import (
    Head,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    encode,
)
from fakeai_proxy.cli.profile_fit import fit
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import load_hosted
from fakeai_proxy.profiles.gpu import load_gpu
from fakeai_proxy.profiles.serving import load_serving
from tests.cli.conftest import Run

MEASURED = Path(__file__).parents[1] / "fleet" / "measured"


def test_a_fitted_gpu_is_a_profile_and_its_error_on_other_rows_is_told(
    run: Run, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    told = run("profiles", "fit", str(MEASURED / "steps.csv"), "--output", str(own)).stdout
    error = re.search(r"step +not used +\d+ +[\d.]+% +([\d.]+)%", told)
    assert error, told
    assert float(error[1]) < 10
    fitted, shipped = load_gpu(str(own)), load_gpu("h100")
    assert fitted.efficiency != shipped.efficiency
    assert fitted.hbm_tb_s == shipped.hbm_tb_s
    assert "steps.csv" in fitted.sources["efficiency"]


def test_a_scale_alone_can_be_fitted(run: Run, tmp_path: Path) -> None:
    rows = (MEASURED / "steps.csv").read_text().splitlines()
    cells = [row.rpartition(",") for row in rows[1:]]
    slow = [rows[0], *(f"{rest},{float(ms) * 3}" for rest, _, ms in cells)]
    data, own = tmp_path / "slow.csv", tmp_path / "own.toml"
    data.write_text("\n".join(slow) + "\n")
    options = ("--scale-only", "--held-out", "0", "--output", str(own), "--json")
    told = json.loads(run("profiles", "fit", str(data), *options).stdout)
    assert (told["gpu"], told["wrote"]) == ("h100", [str(own)])
    (error,) = told["errors"]
    assert (error["share"], error["rows"]) == ("fitted", len(cells))
    assert error["after"] < error["before"]
    fitted, shipped = load_gpu(str(own)), load_gpu("h100")
    assert fitted.efficiency == shipped.efficiency
    assert 2 < fitted.calibration_scale < 4


def test_loops_fit_an_engine_too(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    loops = str(MEASURED / "loops.csv")
    told = run("profiles", "fit", loops, "--gpu", "h200", "--output-server", str(own)).stdout
    assert re.search(r"tpot +not used", told)
    assert re.search(r"ttft +fitted", told)
    written = sorted(tmp_path.glob("own-*.toml"))
    assert {load_serving(str(path)).description for path in written} == {
        load_serving(path.stem.removeprefix("own-")).description for path in written
    }
    assert written


def test_rows_of_several_gpus_need_one_to_be_named(run: Run) -> None:
    done = run("profiles", "fit", str(MEASURED / "loops.csv"))
    assert done.returncode != 0
    assert "give --gpu; the rows are of b200, h100, h200" in done.stderr


def test_a_cassette_becomes_a_hosted_profile(run: Run, tmp_path: Path) -> None:
    """Streams of 300 ms to the first token and 20 ms a token, but for one that took longer."""
    frame = b'data: {"model":"m-1","choices":[]}\n\n'
    lines = [encode(Head("test", 0.0, b"0" * 16))]
    for number in range(12):
        stretch = 2 if number == 7 else 1
        response = RecordedResponse(
            200, ((b"content-type", b"text/event-stream"),), frame * 30, (len(frame),) * 30,
            (300_000 * stretch, *(20_000 * stretch for _ in range(29))),
        )  # fmt: skip
        request = RecordedRequest("POST", "/v1/chat/completions", (), b'{"model":"m-1"}')
        key = bytes([number]) * 16
        record = Interaction(
            f"{number:016x}", 0.0, "https://api.openai.com", request, response, key, key,
            view={"model": "m-1", "usage": {"prompt_tokens": 40}},
        )  # fmt: skip
        lines.append(encode(record))
    cassette, own = tmp_path / "recorded.jsonl", tmp_path / "own.toml"
    cassette.write_bytes(b"".join(lines))
    done = run("profiles", "fit", str(cassette), "--check", "--output", str(own))
    assert done.returncode == 0, done.stderr
    assert re.search(r"m-1 +12 +300 ms +20\.0 ms", done.stdout), done.stdout
    profile = load_hosted(str(own))
    assert profile is not None
    assert profile.for_model("any").ttft_p50_ms == 300
    assert not profile.illustrative
    for wrong, reason in (
        ([cassette, "--output-limits", own], "no reply of the recording tells a limit"),
        ([MEASURED / "steps.csv", "--check"], "are for cassettes"),
        ([cassette, MEASURED / "steps.csv"], "either cassettes or tables"),
    ):
        with pytest.raises(ConfigError, match=reason):
            fit.main([str(one) for one in wrong], standalone_mode=False)
