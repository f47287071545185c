"""One port, every way in, by hand and by the clients that people use."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest
import requests

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.exchange import Origin
from fakeai_proxy.proxy.front_door import FrontDoor, FrontDoorSettings
from fakeai_proxy.proxy.policy import Policy, PolicySettings
from fakeai_proxy.proxy.sniffing import STAMPS, waiting_s
from tests.proxy.conftest import OpenDoor
from tests.proxy.doors import Door, connect_head, get, read_all, read_head

OPENAI = "https://api.openai.com"


def envelope(reply: bytes) -> dict[str, Any]:
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    error: dict[str, Any] = json.loads(body)["error"]
    return error


class TestEveryWayIn:
    def test_a_base_url(self, door: Door) -> None:
        assert requests.get(f"{door.url}/v1/models", timeout=10).json()["origin"] is None

    def test_an_absolute_form_request_arrives_as_it_was_sent(self, door: Door) -> None:
        answer = requests.get("http://api.openai.com/v1/x", proxies={"http": door.url}, timeout=10)
        assert answer.json()["target"] == "http://api.openai.com/v1/x"

    def test_tls_to_the_proxy_itself_by_name_and_by_address(self, door: Door) -> None:
        for host in ("127.0.0.1", "localhost"):
            url = f"https://{host}:{door.address.port}/a"
            assert httpx.get(url, verify=door.trust()).json()["target"] == "/a"

    def test_tls_to_the_proxy_for_an_intercepted_name(self, door: Door) -> None:
        with door.trust().wrap_socket(door.dial(), server_hostname="api.openai.com") as sock:
            assert json.loads(get(sock))["host"] == "api.openai.com"

    def test_garbage_is_refused_as_http(self, door: Door) -> None:
        with door.dial() as sock:
            sock.sendall(b"\x00\x01\x02garbage\r\n\r\n")
            assert b" 400 " in read_all(sock)

    def test_methods_that_begin_like_connect(self, door: Door) -> None:
        for method in ("COPY", "CHECKOUT"):
            answer = requests.request(method, f"{door.url}/x", timeout=10)
            assert answer.json()["target"] == "/x"

    def test_a_client_that_leaves_without_a_word(self, door: Door) -> None:
        for said in (b"", b"CON", b"CONNECT api.openai", b"\x16", b"\x16\x03\x01"):
            with door.dial() as sock:
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                assert b" 200 " not in read_all(sock)
        assert requests.get(door.url, timeout=10).ok

    def test_ipv6(self, open_door: OpenDoor) -> None:
        door = open_door(listen="[::1]:0,127.0.0.1:0")
        assert [address.host for address in door.front.addresses] == ["::1", "127.0.0.1"]
        for address in door.front.addresses:
            with httpx.Client(proxy=address.url, verify=door.trust()) as client:
                answer = client.get(f"{OPENAI}/x")
            assert answer.json()["origin"] == OPENAI


class TestInterception:
    def test_requests(self, door: Door) -> None:
        with requests.Session() as session:
            for number in range(50):
                answer = session.post(
                    f"{OPENAI}/v1/{number}", data=b"x" * number, proxies={"https": door.url},
                    verify=door.ca, timeout=10,
                )  # fmt: skip
                assert answer.json()["target"] == f"/v1/{number}"
                assert answer.json()["origin"] == OPENAI

    def test_httpx_by_its_environment(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", door.url)
        monkeypatch.setenv("SSL_CERT_FILE", door.ca)
        assert httpx.get("https://api.anthropic.com/v1").json()["host"] == "api.anthropic.com"

    def test_the_openai_sdk(self, open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
        door = open_door(whole_app=True)
        monkeypatch.setenv("HTTPS_PROXY", door.url)
        monkeypatch.setenv("SSL_CERT_FILE", door.ca)
        with openai.OpenAI(api_key="sk-any", max_retries=0) as client:
            assert client.models.list().data

    def test_curl(self, door: Door) -> None:
        curl = shutil.which("curl")
        if curl is None:
            pytest.skip("no curl here")
        for more in ([], ["--http2"], ["--proxytunnel", "http://api.openai.com/v1/x"]):
            target = more.pop() if len(more) > 1 else f"{OPENAI}/v1/x"
            command = [curl, "-sS", "--fail", "--proxy", door.url, "--cacert", door.ca, *more]
            done = subprocess.run([*command, target], capture_output=True, timeout=30, check=False)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["origin"] == target.removesuffix("/v1/x")

    def test_plain_http_inside_a_tunnel(self, door: Door) -> None:
        with door.tunnel("api.openai.com:80") as sock:
            assert json.loads(get(sock, "/p"))["origin"] == "http://api.openai.com"

    def test_fifty_requests_in_one_tunnel(self, door: Door) -> None:
        with door.tls("api.openai.com:443", "api.openai.com") as sock:
            for number in range(50):
                assert json.loads(get(sock, f"/{number}"))["target"] == f"/{number}"

    def test_many_at_once(self, door: Door) -> None:
        seen: list[str] = []

        def visit() -> None:
            with door.tls("api.mistral.ai:443", "api.mistral.ai") as sock:
                seen.append(json.loads(get(sock))["origin"])

        threads = [threading.Thread(target=visit) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert seen == ["https://api.mistral.ai"] * 20

    def test_only_http_1_1_is_offered(self, door: Door) -> None:
        context = door.trust()
        context.set_alpn_protocols(["h2", "http/1.1"])
        sock = door.tunnel("api.openai.com:443")
        with context.wrap_socket(sock, server_hostname="api.openai.com") as tls:
            assert tls.selected_alpn_protocol() == "http/1.1"

    def test_the_client_hello_in_the_segment_of_connect(self, door: Door) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = door.trust().wrap_bio(incoming, outgoing, server_hostname="api.openai.com")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with door.dial() as sock:
            sock.sendall(connect_head("api.openai.com:443") + outgoing.read())
            assert read_head(sock).startswith(b"HTTP/1.1 200 ")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(sock.recv(65536))
            # The first request shares a segment with the end of the handshake.
            tls.write(b"GET /early HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
            sock.sendall(outgoing.read())
            answer = b""
            while b"/early" not in answer:
                incoming.write(sock.recv(65536))
                with suppress(ssl.SSLWantReadError):
                    answer += tls.read(65536)

    def test_connect_byte_by_byte(self, door: Door) -> None:
        with door.dial() as sock:
            for byte in connect_head("api.openai.com:443", "Host: api.openai.com:443"):
                sock.sendall(bytes([byte]))
            assert read_head(sock).startswith(b"HTTP/1.1 200 ")
            with door.trust().wrap_socket(sock, server_hostname="api.openai.com") as tls:
                assert json.loads(get(tls))["origin"] == OPENAI

    def test_without_sni_the_certificate_is_that_of_the_connect_host(self, door: Door) -> None:
        with door.tls("api.groq.com:443", None) as sock:
            assert sock.getpeercert()["subjectAltName"] == (("DNS", "api.groq.com"),)

    def test_the_certificate_follows_sni_to_another_intercepted_host(self, door: Door) -> None:
        with door.tls("api.groq.com:443", "api.openai.com") as sock:
            assert sock.getpeercert()["subjectAltName"] == (("DNS", "api.openai.com"),)
            assert json.loads(get(sock))["origin"] == "https://api.groq.com"

    def test_sni_of_a_host_that_is_not_intercepted_is_refused(
        self, door: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ssl.SSLError):
            door.tls("api.groq.com:443", "example.com")
        assert "TLS for example.com is refused" in caplog.text

    def test_a_wildcard_gives_each_host_its_own_certificate(self, door: Door) -> None:
        with door.tls("mine.openai.azure.com:443", "mine.openai.azure.com") as sock:
            assert sock.getpeercert()["subjectAltName"] == (("DNS", "mine.openai.azure.com"),)

    def test_ip_literals(self, open_door: OpenDoor) -> None:
        door = open_door(intercept=("[2001:db8::1]", "203.0.113.7", "::1"))
        for authority, name in (
            ("203.0.113.7:443", "203.0.113.7"),
            ("[2001:DB8:0::1]:8443", "2001:db8::1"),
            ("[::1]:443", "::1"),
        ):
            with door.tls(authority, name) as sock:
                origin = json.loads(get(sock))["origin"]
                assert origin == "https://" + authority.lower().replace(":0::", "::").removesuffix(
                    ":443"
                )


class TestRefusals:
    @pytest.mark.parametrize(
        "head",
        [
            b"CONNECT api.openai.com HTTP/1.1\r\n\r\n",
            b"CONNECT api.openai.com:0 HTTP/1.1\r\n\r\n",
            b"CONNECT api.openai.com:99999 HTTP/1.1\r\n\r\n",
            b"CONNECT api..openai.com:443 HTTP/1.1\r\n\r\n",
            b"CONNECT [::1:443 HTTP/1.1\r\n\r\n",
            b"CONNECT ::1:443 HTTP/1.1\r\n\r\n",
            b"CONNECT user@api.openai.com:443 HTTP/1.1\r\n\r\n",
            b"CONNECT https://api.openai.com:443/ HTTP/1.1\r\n\r\n",
            b"CONNECT api.openai.com:443\r\n\r\n",
            b"CONNECT api.openai.com:443 HTTP/2.0\r\n\r\n",
            b"CONNECT  api.openai.com:443 HTTP/1.1\r\n\r\n",
            b"CONNECT api.openai.com:443 HTTP/1.1\r\nno colon\r\n\r\n",
            b"CONNECT api.openai.com:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            b"CONNECT api.openai.com:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"CONNECT \xff\xfe:443 HTTP/1.1\r\n\r\n",
            b"CONNECT " + b"a" * 40_000,
        ],
        ids=range(16),
    )
    def test_a_malformed_connect_is_400(self, door: Door, head: bytes) -> None:
        with door.dial() as sock:
            sock.sendall(head)
            reply = read_all(sock)
        assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert envelope(reply)["message"].startswith("Bad request")

    def test_a_host_that_is_not_listed_is_refused_without_looking_it_up(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*args: object, **kwargs: object) -> None:
            raise AssertionError("looked up")

        with door.dial() as sock:
            monkeypatch.setattr(socket, "getaddrinfo", never)
            sock.sendall(connect_head("example.com:443"))
            reply = read_all(sock)
        assert reply.startswith(b"HTTP/1.1 403 ")
        assert envelope(reply)["code"] == "destination_refused"
        assert "--allow-host example.com:443" in envelope(reply)["message"]

    def test_what_a_refused_client_has_sent_does_not_cost_it_the_reply(self, door: Door) -> None:
        with door.dial() as sock:
            sock.sendall(connect_head("example.com:443") + b"\x16\x03\x01" + b"x" * 100_000)
            assert envelope(read_all(sock))["code"] == "destination_refused"

    def test_407_then_connect_again_on_the_same_connection(self, open_door: OpenDoor) -> None:
        door = open_door(proxy_auth="user:secret")
        with door.dial() as sock:
            for lines in ((), ("Proxy-Authorization: Basic dXNlcjp3cm9uZw==",)):
                sock.sendall(connect_head("api.openai.com:443", *lines))
                reply = read_head(sock)
                assert reply.startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
                assert b'proxy-authenticate: Basic realm="fakeai-proxy"' in reply
                assert envelope(reply)["code"] == "proxy_authentication_required"
            right = "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="
            sock.sendall(connect_head("api.openai.com:443", right))
            assert read_head(sock).startswith(b"HTTP/1.1 200 ")
            with door.trust().wrap_socket(sock, server_hostname="api.openai.com") as tls:
                assert json.loads(get(tls))["origin"] == OPENAI

    def test_407_ends_the_connection_of_an_old_client(self, open_door: OpenDoor) -> None:
        door = open_door(proxy_auth="user:secret")
        with door.dial() as sock:
            sock.sendall(b"CONNECT api.openai.com:443 HTTP/1.0\r\n\r\n")
            assert b"\r\nconnection: close\r\n" in read_all(sock)

    def test_clients_give_the_credentials_of_their_proxy_url(self, open_door: OpenDoor) -> None:
        door = open_door(proxy_auth="user:s%cret")
        url = f"http://user:s%25cret@{door.address}"
        answer = requests.get(OPENAI, proxies={"https": url}, verify=door.ca, timeout=10)
        assert answer.json()["origin"] == OPENAI

    @pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
    def test_itself_is_never_dialled(self, open_door: OpenDoor, listen: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        hosts = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
        hosts += ["127.0.0.2"] if listen == "0.0.0.0" else []
        allowed = tuple(f"{host}:{port}" for host in hosts)
        door = open_door(listen=f"{listen}:{port}", allow_host=allowed)
        for authority in allowed:
            _, reply = door.ask(connect_head(authority))
            assert envelope(reply)["code"] == "proxy_loop", authority

    def test_itself_as_its_upstream_proxy_is_no_loop(self, open_door: OpenDoor) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        door = open_door(
            listen=f"127.0.0.1:{port}",
            allow_host=("203.0.113.1",),
            upstream_proxy=f"http://localhost:{port}",
        )
        _, reply = door.ask(connect_head("203.0.113.1:443"))
        assert envelope(reply)["code"] == "proxy_loop"


class TestListening:
    def test_an_open_relay_does_not_start(self, door: Door) -> None:
        with pytest.raises(ConfigError, match="--proxy-auth USER:PASSWORD"):
            self.start(door, listen="0.0.0.0:0", allow_host=("any",))

    def test_with_credentials_it_does(self, open_door: OpenDoor) -> None:
        door = open_door(listen="0.0.0.0:0", allow_host=("any",), proxy_auth="u:p")
        assert door.front.addresses[0].host == "0.0.0.0"

    def test_a_port_that_is_taken(self, door: Door) -> None:
        with pytest.raises(ConfigError, match="Address already in use"):
            self.start(door, listen=str(door.address))

    @pytest.mark.parametrize("listen", ["", "host", "a:b", "1.2.3.4:99999", "::1:80", "x:1,"])
    def test_what_is_no_address(self, door: Door, listen: str) -> None:
        with pytest.raises(ConfigError, match=r"listen: '.*' is no address: give HOST:PORT"):
            self.start(door, listen=listen)

    def test_a_bare_port_is_on_loopback(self, open_door: OpenDoor) -> None:
        assert open_door(listen="0").front.addresses[0].host == "127.0.0.1"

    def start(self, door: Door, listen: str, allow_host: tuple[str, ...] = ()) -> None:
        def never(origin: Origin | None, waiting_s: float) -> Any:
            raise AssertionError("nobody comes")

        policy = Policy(PolicySettings(allow_host=allow_host))
        front = FrontDoor(FrontDoorSettings(listen=listen), policy, door.certificates, never)
        door.thread.run(front.open())


class TestLimits:
    def test_out_of_descriptors_clients_wait_and_are_served(
        self, door: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert requests.get(door.url, timeout=10).ok  # what is lazy has been opened
        waiting = [socket.socket() for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            for sock in waiting:
                sock.settimeout(20)
                sock.connect(door.address)
                sock.sendall(b"GET /waited HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            waiting[-1].settimeout(0.5)
            with pytest.raises(TimeoutError):
                waiting[-1].recv(1)
            assert "new connections wait: Too many open files" in caplog.text
            assert caplog.text.count("Too many open files") == 1  # not once for every look
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in waiting:
            sock.settimeout(20)
            with sock:
                assert b"/waited" in read_all(sock)

    def test_above_max_connections_clients_wait_until_others_close(
        self, open_door: OpenDoor
    ) -> None:
        door = open_door(max_connections=2)
        first, second = door.dial(), door.tls("api.openai.com:443", "api.openai.com")
        assert get(first)
        assert get(second)
        with door.dial() as third:
            third.sendall(b"GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            third.settimeout(0.5)
            with pytest.raises(TimeoutError):
                third.recv(1)
            first.close()
            third.settimeout(20)
            assert b"/third" in read_all(third)
        second.close()

    @pytest.mark.parametrize("said", [b"", b"CONN", b"CONNECT api.openai.com:443 HTTP/1.1\r\nA"])
    def test_a_client_that_stops_talking_is_hung_up_on(
        self, door: Door, monkeypatch: pytest.MonkeyPatch, said: bytes
    ) -> None:
        monkeypatch.setattr("fakeai_proxy.proxy.front_door.HEAD_TIMEOUT_REAL_S", 0.1)
        with door.dial() as sock:
            sock.sendall(said)
            with suppress(ConnectionResetError):
                assert read_all(sock) == b""

    def test_closing_ends_handshakes_and_what_has_not_begun(self, door: Door) -> None:
        silent, within = door.dial(), door.tunnel("api.openai.com:443")
        within.sendall(b"\x16\x03\x01")
        assert requests.get(door.url, timeout=10).ok  # so both have been accepted
        door.thread.run(door.front.close())
        for sock in (silent, within):
            with sock, suppress(ConnectionResetError):
                assert read_all(sock) == b""
        with pytest.raises(ConnectionRefusedError):
            door.dial()


class TestArrival:
    def test_a_request_arrived_when_the_kernel_had_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if STAMPS is None:
                pytest.skip("this system does not stamp what arrives")
            listener.setsockopt(socket.SOL_SOCKET, STAMPS, 1)
            with socket.create_connection(listener.getsockname()) as client:
                served, _ = listener.accept()
                with served:
                    client.sendall(b"GET")
                    assert served.recv(1, socket.MSG_PEEK) == b"G"
                    first = waiting_s(served)
                    later = waiting_s(served)
                    assert 0 < first <= later < 30
                    assert served.recv(3) == b"GET"  # nothing was taken
