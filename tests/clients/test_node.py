"""Node's own fetch and packages from npm."""

from __future__ import annotations

import re
from pathlib import Path

from tests.clients.conftest import Node, node_client

QUESTION = "What is the capital of France?"


def test_nodes_own_fetch(node: Node, proxied: dict[str, str]) -> None:
    said = node_client(node, "fetch", proxied, QUESTION)
    assert said["text"]
    assert said["last_line"] == "data: [DONE]"


def test_the_npm_package_openai(node: Node, npm_packages: Path, proxied: dict[str, str]) -> None:
    said = node_client(node, "openai", proxied, QUESTION)
    assert said["text"]
    assert said["stream"]
    assert said["id"].startswith("chatcmpl-")


def test_the_npm_package_of_anthropic(
    node: Node, npm_packages: Path, proxied: dict[str, str]
) -> None:
    said = node_client(node, "anthropic", proxied, QUESTION)
    assert said["text"]
    assert said["id"].startswith("msg_01")


def test_undicis_proxy_agent_also_for_plain_http(
    node: Node, npm_packages: Path, proxied: dict[str, str]
) -> None:
    said = node_client(node, "undici", proxied)
    assert said["https"]["status"] == 200
    assert said["https"] == said["http"]


def test_zod_schemas_of_the_npm_package_openai(
    node: Node, npm_packages: Path, proxied: dict[str, str]
) -> None:
    said = node_client(node, "zod", proxied, "Name a book about harbors.")
    assert said["book"] == said["streamed"]
    assert re.fullmatch(r"97[89]-\d{10}", said["book"]["isbn"])
    assert 1900 <= said["author"]["born"] <= 2020
