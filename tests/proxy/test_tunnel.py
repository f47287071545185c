"""Blind tunnels, between real sockets."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
from pathlib import Path
from random import Random

import pytest
import requests

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.tunnel import UpstreamProxy
from tests.proxy.conftest import OpenDoor
from tests.proxy.doors import (
    Door,
    LoopThread,
    connect_head,
    forwarding,
    listening,
    read_all,
    read_head,
)

#: Not repeating, so that a piece lost, doubled or moved shows.
PAYLOAD = Random(7).randbytes(3 * 1024 * 1024)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def reflect(sock: socket.socket) -> None:
    """Gives back the payload when it has all of it."""
    data = bytearray()
    while len(data) < len(PAYLOAD) and (piece := sock.recv(65536)):
        data += piece
    sock.sendall(data)
    read_all(sock)


def refusal(door: Door, authority: str) -> tuple[int, dict[str, str]]:
    with door.dial() as sock:
        sock.sendall(connect_head(authority))
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    """The authority of somebody else's servers."""
    return Authority.open(tmp_path / "other", (), SystemClock().wall)


@pytest.fixture
def other_tls(other: Authority) -> ssl.SSLContext:
    thread = LoopThread()

    async def make() -> ssl.SSLContext:
        certificates = Certificates(lambda: other, lambda name: False, SystemClock().wall)
        return await certificates.context("localhost")

    try:
        return thread.run(make())
    finally:
        thread.close()


class TestBytes:
    def test_3_mib_through_the_real_servers_certificate(
        self, open_door: OpenDoor, other: Authority, other_tls: ssl.SSLContext
    ) -> None:
        with listening(reflect, other_tls) as port:
            door = open_door(allow_host=(f"localhost:{port}",))
            trust = ssl.create_default_context(cafile=str(other.root_path))
            sock = door.tunnel(f"localhost:{port}")
            with trust.wrap_socket(sock, server_hostname="localhost") as tls:
                issuer = dict(pair for (pair,) in tls.getpeercert()["issuer"])["commonName"]
                assert issuer == other.intermediate.subject.rfc4514_string().removeprefix("CN=")
                assert exchange(tls, PAYLOAD) == PAYLOAD

    def test_what_the_server_says_first(self, open_door: OpenDoor) -> None:
        with listening(lambda sock: sock.sendall(b"220 hello\r\n")) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert read_all(sock) == b"220 hello\r\n"

    def test_what_the_client_says_before_the_200(self, open_door: OpenDoor) -> None:
        with listening(echo) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.dial() as sock:
                sock.sendall(connect_head(f"127.0.0.1:{port}") + b"early bytes")
                sock.shutdown(socket.SHUT_WR)
                assert read_head(sock).startswith(b"HTTP/1.1 200 ")
                assert read_all(sock) == b"early bytes"

    def test_the_client_half_closes_and_hears_the_rest(self, open_door: OpenDoor) -> None:
        def digest(sock: socket.socket) -> None:
            sock.sendall(hashlib.sha256(read_all(sock)).digest())

        with listening(digest) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                sock.sendall(PAYLOAD)
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == hashlib.sha256(PAYLOAD).digest()

    def test_the_server_half_closes_and_hears_the_rest(self, open_door: OpenDoor) -> None:
        heard: list[bytes] = []
        done = threading.Event()

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"that is all")
            sock.shutdown(socket.SHUT_WR)
            heard.append(read_all(sock))
            done.set()

        with listening(serve) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert read_all(sock) == b"that is all"
                sock.sendall(PAYLOAD)
            assert done.wait(20)
        assert heard == [PAYLOAD]

    def test_a_slow_reader_holds_the_sender_back(self, open_door: OpenDoor) -> None:
        sent = 0
        stuck = threading.Event()

        def flood(sock: socket.socket) -> None:
            nonlocal sent
            sock.settimeout(0.5)
            try:
                while True:
                    sent += sock.send(b"x" * 65536)
            except TimeoutError:
                stuck.set()

        with listening(flood) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert stuck.wait(30)
                assert len(read_all(sock)) == sent


class TestEnds:
    def test_a_dead_host_is_502(self, open_door: OpenDoor) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        door = open_door(allow_host=(f"127.0.0.1:{port}",))
        status, error = refusal(door, f"127.0.0.1:{port}")
        assert (status, error["code"]) == (502, "upstream_unreachable")

    def test_a_name_that_does_not_exist_is_502(self, open_door: OpenDoor) -> None:
        door = open_door(allow_host=("nowhere.invalid",))
        assert refusal(door, "nowhere.invalid:443")[0] == 502

    def test_a_host_that_does_not_answer_is_504(
        self, open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fakeai_proxy.proxy.tunnel.CONNECT_TIMEOUT_REAL_S", 0.2)
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for waiting in (first, second):  # fill the backlog: the next is left without an answer
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            port = full.getsockname()[1]
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            status, error = refusal(door, f"127.0.0.1:{port}")
        assert (status, error["code"]) == (504, "upstream_timeout")

    def test_an_idle_tunnel_is_closed_on_both_sides(self, open_door: OpenDoor) -> None:
        ended = threading.Event()

        def serve(sock: socket.socket) -> None:
            echo(sock)
            ended.set()

        with listening(serve) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",), tunnel_idle_s=0.2)
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                sock.sendall(b"still here")
                assert sock.recv(100) == b"still here"
                assert sock.recv(1) == b""
                assert ended.wait(20)

    def test_closing_the_door_ends_its_tunnels(self, open_door: OpenDoor) -> None:
        with listening(echo) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert exchange(sock, b"x") == b"x"
                door.thread.run(door.front.close())
                assert sock.recv(1) == b""

    def test_a_client_that_is_torn_off_ends_the_servers_side(self, open_door: OpenDoor) -> None:
        ended = threading.Event()

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"hello")
            read_all(sock)
            ended.set()

        with listening(serve) as port:
            door = open_door(allow_host=(f"127.0.0.1:{port}",))
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert sock.recv(5) == b"hello"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            assert ended.wait(20)


class TestInternalAddresses:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]",
         "169.254.169.254", "10.0.0.1", "0.0.0.0", "[64:ff9b::a9fe:a9fe]", "[fe80::1]"],
    )  # fmt: skip
    def test_a_general_rule_does_not_open_them(self, open_door: OpenDoor, host: str) -> None:
        door = open_door(allow_host=("any", "*.localhost"))
        status, error = refusal(door, f"{host}:443")
        assert (status, error["code"]) == (403, "destination_refused")
        assert "internal address" in error["message"]

    def test_nor_behind_an_upstream_proxy(self, open_door: OpenDoor) -> None:
        door = open_door(allow_host=("any",), upstream_proxy="http://127.0.0.1:9")
        for host in ("127.0.0.1", "localhost", "a.localhost"):
            assert refusal(door, f"{host}:443")[0] == 403


class TestUpstreamProxy:
    @pytest.mark.parametrize("auth", ["", "user:p%40ss@"])
    def test_http(self, open_door: OpenDoor, auth: str) -> None:
        heads: list[bytes] = []
        with listening(reflect) as port, forwarding(heads) as proxy:
            door = open_door(
                allow_host=(f"127.0.0.1:{port}",), upstream_proxy=f"http://{auth}127.0.0.1:{proxy}"
            )
            with door.tunnel(f"127.0.0.1:{port}") as sock:
                assert exchange(sock, PAYLOAD) == PAYLOAD
        assert heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
        given = b"Basic " + base64.b64encode(b"user:p@ss")
        assert (b"Proxy-Authorization: " + given in heads[0]) == bool(auth)

    def test_https_is_tls_in_tls(
        self, open_door: OpenDoor, other: Authority, other_tls: ssl.SSLContext
    ) -> None:
        trust = ssl.create_default_context(cafile=str(other.root_path))
        with listening(reflect, other_tls) as port, forwarding([], other_tls) as up:
            door = open_door(
                allow_host=(f"localhost:{port}",),
                upstream_proxy=f"https://localhost:{up}",
                upstream_tls=trust,
            )
            sock = door.tunnel(f"localhost:{port}")
            with trust.wrap_socket(sock, server_hostname="localhost") as tls:
                assert exchange(tls, PAYLOAD) == PAYLOAD

    def test_a_certificate_that_is_not_trusted_is_502(
        self, open_door: OpenDoor, other_tls: ssl.SSLContext
    ) -> None:
        with forwarding([], other_tls) as up:
            door = open_door(allow_host=("any",), upstream_proxy=f"https://localhost:{up}")
            status, error = refusal(door, "example.com:443")
        assert (status, error["code"]) == (502, "upstream_certificate")

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"",
            b"x" * 100_000,
        ],
    )
    def test_one_that_refuses_or_talks_nonsense_is_502(
        self, open_door: OpenDoor, reply: bytes
    ) -> None:
        def serve(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(reply)

        with listening(serve) as up:
            door = open_door(allow_host=("any",), upstream_proxy=f"http://u:geheim@localhost:{up}")
            status, error = refusal(door, "example.com:443")
        assert (status, error["code"]) == (502, "upstream_unreachable")
        assert "geheim" not in error["message"]

    def test_two_doors_in_a_row(self, open_door: OpenDoor, tmp_path: Path) -> None:
        outer = open_door(tmp_path / "outer", proxy_auth="u:p")
        inner = open_door(
            tmp_path / "inner", allow_host=("any",), upstream_proxy=f"http://u:p@{outer.address}"
        )
        inner.policy.intercepted = ()
        answer = requests.get(
            "https://api.openai.com/x", proxies={"https": inner.url}, verify=outer.ca, timeout=10
        )
        assert answer.json()["origin"] == "https://api.openai.com"

    @pytest.mark.parametrize(
        "url", ["socks5://h:1", "h:1", "http://", "http://u:geheim@h:99999", "http://u:geheim@[::1"]
    )
    def test_a_url_that_cannot_be_used(self, url: str) -> None:
        with pytest.raises(ConfigError, match="upstream_proxy: ") as caught:
            UpstreamProxy.parse(url)
        assert "geheim" not in str(caught.value)

    def test_ports_that_go_without_saying(self) -> None:
        assert UpstreamProxy.parse("http://h").port == 80
        assert UpstreamProxy.parse("https://[::1]").port == 443


def exchange(sock: socket.socket, payload: bytes) -> bytes:
    """What comes back for `payload`. One thread: an SSLSocket may not be used by two."""
    sock.sendall(payload)
    data = bytearray()
    while len(data) < len(payload) and (piece := sock.recv(65536)):
        data += piece
    return bytes(data)
