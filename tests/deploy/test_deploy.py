"""What is in `deploy/` names what there is: settings, extras, pages, ports, and each other. A container
engine would prove more; none is needed for this."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import fakeai_proxy
from fakeai_proxy.config import ENVIRONMENT_PREFIX, Config
from tests.doubles.program import bare_environment

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def manifest(kind: str) -> Any:
    (found,) = [one for path in MANIFESTS for one in loaded(path) if one["kind"] == kind]
    return found


def loaded(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def container() -> Any:
    (found,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def environments() -> dict[str, dict[str, str]]:
    """What each place gives the program, by the place."""
    block = re.search(r"^ENV (.*?)(?=^[A-Z])", DOCKERFILE, re.M | re.S)
    assert block is not None
    image = dict(re.findall(r"(\w+)=(\S+)", block[1]))
    return {
        "image": {name: value for name, value in image.items() if name.startswith("FAKEAI")},
        "compose": COMPOSE["services"]["proxy"]["environment"],
        "configmap": manifest("ConfigMap")["data"],
        "secret": manifest("Secret")["stringData"],
    }


@pytest.mark.parametrize("place", ["image", "compose", "configmap", "secret"])
def test_every_environment_name_is_a_setting_and_its_value_is_accepted(place: str) -> None:
    given = environments()[place]
    assert given
    for name in given:
        assert name.startswith(ENVIRONMENT_PREFIX)
        assert name.removeprefix(ENVIRONMENT_PREFIX).lower() in Config.model_fields
    Config.load(environ={name: filled(str(value)) for name, value in given.items()})


def filled(value: str) -> str:
    """As compose fills it in."""
    value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{(\w+):\?[^}]*\}", "abc", value)


def test_every_flag_exists() -> None:
    flags = [one for one in COMPOSE["services"]["proxy"]["command"] if one.startswith("--")]
    assert flags
    assert {flag[2:].replace("-", "_") for flag in flags} <= set(Config.model_fields)
    assert 'ENTRYPOINT ["fakeai-proxy"]' in DOCKERFILE


def test_the_image_installs_extras_that_exist_and_copies_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = re.search(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M)).split()
    assert all((ROOT / one).exists() for one in copied)
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {"fakeai_proxy", "pyproject.toml", project["project"]["readme"], *shipped} <= set(copied)
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{one}" for one in copied} <= set(kept)


def images() -> Iterator[str]:
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    yield from (service["image"] for service in COMPOSE["services"].values())
    yield container()["image"]


@pytest.mark.parametrize("image", sorted(set(images())))
def test_an_image_is_pinned_to_a_whole_version(image: str) -> None:
    name, _, tag = image.rpartition(":")
    assert name
    assert re.match(r"v?\d+\.\d+", tag), "a tag that does not move"
    if name == "fakeai-proxy":
        assert tag == fakeai_proxy.__version__


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_is_whole(path: Path) -> None:
    for one in loaded(path):
        assert {"apiVersion", "kind", "metadata"} <= set(one)
        assert one["metadata"]["name"] == "fakeai-proxy"
        assert one["metadata"]["labels"] == {"app.kubernetes.io/name": "fakeai-proxy"}


def test_manifests_refer_to_each_other_and_to_ports_that_there_are() -> None:
    pod = manifest("Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        selector = manifest(kind)["spec"]["selector"]
        assert (selector.get("matchLabels") or selector).items() <= labels.items()
    assert manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "fakeai-proxy",
    }  # fmt: skip
    referred = {(kind, ref["name"]) for one in container()["envFrom"] for kind, ref in one.items()}
    assert referred == {("configMapRef", "fakeai-proxy"), ("secretRef", "fakeai-proxy")}
    (port,) = container()["ports"]
    assert manifest("ConfigMap")["data"]["FAKEAI_PROXY_LISTEN"].endswith(
        f":{port['containerPort']}"
    )
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    mounted = {one["name"] for one in container()["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["spec"]["volumes"]}


def test_whoever_ends_a_replica_waits_for_its_drain() -> None:
    grace_s = manifest("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    pause_s = int(container()["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert (
        grace_s > pause_s + float(manifest("ConfigMap")["data"]["FAKEAI_PROXY_DRAIN_TIMEOUT"]) + 5
    )
    proxy = COMPOSE["services"]["proxy"]
    drain_s = float(proxy["environment"]["FAKEAI_PROXY_DRAIN_TIMEOUT"])
    assert float(proxy["stop_grace_period"].rstrip("s")) > drain_s + 5


def test_the_balancer_lets_streams_and_uploads_through() -> None:
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert text.count("{") == text.count("}")
    for wanted in (
        "proxy_buffering off;", "proxy_request_buffering off;", "proxy_http_version 1.1;",
        "client_max_body_size 600m;", "proxy_set_header Upgrade $http_upgrade;", "server proxy:8000",
    ):  # fmt: skip
        assert wanted in text
    balancer = COMPOSE["services"]["balancer"]
    assert balancer["volumes"] == ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    assert balancer["ports"] == ["127.0.0.1:8000:8000"]


def test_the_paths_of_probes_answer_in_the_started_program(tmp_path: Path) -> None:
    """As the manifests start it, but for its secrets and for where it listens."""
    settings = manifest("ConfigMap")["data"] | {
        "FAKEAI_PROXY_LISTEN": "127.0.0.1:0",
        "FAKEAI_PROXY_DATA": str(tmp_path),
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "fakeai_proxy"],
        env=bare_environment(PYTHONPATH=str(ROOT), **settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        url = json.loads(started.stdout.readline())["url"]
        paths = {
            container()[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        checked = re.search(r"8000(/\S+)', timeout", DOCKERFILE)
        assert checked is not None
        for path in sorted(paths | {checked[1]}):
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                assert answer.status == 200
    finally:
        started.terminate()
        assert started.wait(60) == 0
        assert started.stdout is not None
        started.stdout.close()
