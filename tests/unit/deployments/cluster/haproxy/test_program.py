"""HAProxy as the server starts it: disconnects, limits, lost orchestrators, and its own errors as the API's."""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from serving.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    MoaError,
    Overloaded,
    SlowBody,
    UnknownPath,
    WrongMethod,
)
from serving.ports import free_port
from tests.support.haproxy import PROGRAM, START_S, Orchestrator, Proxy, client, proxied, stopped, until, write_config
from tests.support.orchestrators import Answering, Killable, Silent

HEAD = b"POST / HTTP/1.1\r\nhost: front\r\ncontent-length: 5\r\n\r\n"


def check(answer: tuple[int, dict[str, str], bytes] | httpx.Response, error: type[MoaError], status: int = 0) -> str:
    """Assert that an answer is this error of the API, and return its message."""
    if isinstance(answer, httpx.Response):
        answer = answer.status_code, dict(answer.headers), answer.content
    code, headers, body = answer
    assert (code, headers["content-type"]) == (status or error.status, "application/json"), body
    assert (headers.get("retry-after") == "1") == (code in (429, 503))
    found = json.loads(body)["error"]
    message: str = found.pop("message")
    assert found == {"type": error.type, "param": None, "code": error.code}
    return message


@pytest.mark.parametrize("pieces", [(HEAD + b"hello",), (HEAD, b"hello"), (HEAD, b"he", b"llo")])
async def test_a_callers_disconnect_reaches_the_server(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    silent = Silent()
    async with proxied(tmp_path, {"a": silent}) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.front)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # a segment of its own
        assert await until(lambda: silent.arrived == 1)
        writer.close()
        assert await until(lambda: silent.left == 1)


def listening() -> set[tuple[str, int]]:
    """IPv4 addresses and ports of this machine's sockets, as the kernel lists them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, port = line.split()[1].split(":")
        found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return found


@pytest.mark.parametrize(("loopback", "address"), [("", "0.0.0.0"), ("1", "127.0.0.1")])
async def test_the_proxys_own_pages_are_kept_to_this_machine(tmp_path: Path, loopback: str, address: str) -> None:
    async with proxied(tmp_path, {}, {"MOA_HAPROXY_LOOPBACK": loopback}) as proxy:
        assert (address, proxy.metrics) in listening()


async def test_without_a_replica_the_caller_gets_an_error_of_the_api(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": free_port()}) as proxy:
        assert check(await proxy.post("/v1/chat/completions"), EngineUnavailable).endswith("try again.")


async def test_an_answer_that_does_not_come_in_time_is_an_error_of_the_api(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Silent()}, timeout_server_s=1) as proxy:
        assert check(await proxy.raw(HEAD + b"hello"), DeadlineExceeded).endswith("within the deadline.")


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 300_000 + b"\r\n\r\n",  # more than a buffer
    ],
)
async def test_a_request_that_haproxy_cannot_parse_is_an_error_of_the_api(tmp_path: Path, request_: bytes) -> None:
    async with proxied(tmp_path, {"a": Answering()}) as proxy:
        assert check(await proxy.raw(request_), InvalidRequest) == "Invalid or too large headers."


async def test_a_method_that_no_orchestrator_reads_is_an_error_of_the_api(tmp_path: Path) -> None:
    answering = Answering()
    async with proxied(tmp_path, {"a": answering}) as proxy:
        assert check(await proxy.raw(b"ZORK /v1/models HTTP/1.1\r\nhost: a\r\n\r\n"), WrongMethod).startswith("Use GET")
        status, headers, body = await proxy.raw(b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert (status, headers["allow"], body) == (204, "get, head, post, options", b"")
        assert answering.asked == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["req-1.a:B_2"], True),
        (["bad id"], False),
        (["a" * 129], False),
        (['a"b{}<x>'], False),
        (["one", "two"], False),
    ],
)
async def test_only_ids_that_the_api_knows_reach_it(tmp_path: Path, given: list[str], kept: bool) -> None:
    answering = Answering()
    async with proxied(tmp_path, {"a": answering}) as proxy:
        await proxy.client.get(proxy.url, headers=[("x-request-id", one) for one in given])
    assert ("x-request-id:" in answering.heads[0]) == kept


PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("traceparent", [PARENT], True),
        ("traceparent", [b"\xff"], False),
        ("traceparent", [b"00-" + b"a" * 5000], False),
        ("traceparent", [PARENT, PARENT], False),
        ("tracestate", [b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], True),
        ("tracestate", [b"a=\xff"], False),
        ("tracestate", [b"a=" + b"b" * 511], False),
        ("x-session-id", [b"mine"], True),
        ("x-session-id", ["größe, 会话".encode()], True),
        ("x_session_id", [b"mine"], False),
        ("X_Session-Id", [b"\xff"], False),
        ("serve_multiplexed_model_id", [b"\xff"], False),
        ("Serve-Multiplexed-Model-Id", [b"m"], False),
        ("x-request-timeout-seconds", [b"-1"], False),
        ("x-request-disconnect-disabled", [b"?1"], False),
    ],
)
async def test_headers_that_serve_reads_reach_it_only_as_they_should_be(
    tmp_path: Path, name: str, given: list[bytes], kept: bool
) -> None:
    """A replica of Serve fails with 500 if one of them is not UTF-8, and obeys the last two."""
    answering = Answering()
    async with proxied(tmp_path, {"a": answering}) as proxy:
        answer = await proxy.client.get(proxy.url, headers=[(name.encode(), one) for one in given])
    assert answer.status_code == 200
    assert (f"\n{name}:".lower() in answering.heads[0].lower()) == kept


@pytest.mark.parametrize("given", [[b"\xe9"], [b"ok", b"ok"], [b"ok", b"\xe9"], [b"\xe9", b"ok"]])
async def test_a_session_that_serve_cannot_read_is_the_callers_fault(tmp_path: Path, given: list[bytes]) -> None:
    answering = Answering()
    async with proxied(tmp_path, {"a": answering}) as proxy:
        answer = await proxy.client.get(proxy.url, headers=[(b"x-session-id", one) for one in given])
    assert check(answer, InvalidRequest) == "Send the header x-session-id once, and in UTF-8."
    assert answering.asked == 0


async def test_headers_that_no_orchestrator_reads_are_refused(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Answering()}) as proxy:
        assert (await proxy.get(headers={"x": "y" * 15_000})).status_code == 200
        assert "too large" in check(await proxy.get(headers={"x": "y" * 70_000}), InvalidRequest, 431)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\nx: ", HEAD, HEAD + b"he"])
async def test_a_request_that_does_not_arrive_ends(tmp_path: Path, begun: bytes) -> None:
    answering = Answering()
    async with proxied(tmp_path, {"a": answering}, {"MOA_HAPROXY_HEADER_TIMEOUT_S": "1"}) as proxy:
        assert "did not arrive in time" in check(await proxy.raw(begun), SlowBody)
    assert answering.asked == 0


async def test_no_other_timeout_cuts_an_answer(tmp_path: Path) -> None:
    """A wait of five seconds, each timeout of the client three seconds."""
    environment = {"MOA_HAPROXY_HEADER_TIMEOUT_S": "3"}
    async with proxied(tmp_path, {"a": Answering(wait_s=5)}, environment, timeout_client_s=3) as proxy:
        assert (await proxy.post(content=b"hello")).text == "a 5"


async def test_an_idle_connection_ends(tmp_path: Path) -> None:
    async with proxied(tmp_path, {}, {"MOA_HAPROXY_HEADER_TIMEOUT_S": "1"}) as proxy:
        proxy.config.index("timeout http-keep-alive")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.front)
        async with asyncio.timeout(START_S):
            await reader.read()
        writer.close()


async def test_connections_of_one_address_are_limited(tmp_path: Path) -> None:
    limits = {"MOA_HAPROXY_CONNECTIONS_PER_CLIENT": "3", "MOA_HAPROXY_HEADER_TIMEOUT_S": "300"}
    async with proxied(tmp_path, {"a": Answering()}, limits) as proxy:
        idle = [await asyncio.open_connection("127.0.0.1", proxy.front) for _ in range(3)]
        assert await until(lambda: asking(proxy, 429))  # each connection is accepted by a thread of its own
        assert "this address" in check(await proxy.get(), Overloaded)
        idle.pop()[1].close()
        assert await until(lambda: asking(proxy, 200))
        for _ in range(10):
            with suppress(ConnectionError):  # one of those beyond the limit
                idle.append(await asyncio.open_connection("127.0.0.1", proxy.front))
        assert await until(lambda: closed(proxy)), "twice as many are closed without a word"
        for _, writer in idle:
            writer.close()


async def closed(proxy: Proxy) -> bool:
    try:
        await proxy.get()
    except httpx.TransportError:
        return True
    return False


async def asking(proxy: Proxy, status: int) -> bool:
    return (await proxy.get()).status_code == status


async def test_without_a_limit_any_number_may_connect(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Answering()}, {"MOA_HAPROXY_CONNECTIONS_PER_CLIENT": "0"}) as proxy:
        assert (await proxy.get()).status_code == 200
        assert "moa_clients" not in proxy.config


@pytest.mark.parametrize("size", [0, 5, 150_000])
async def test_a_lost_request_is_asked_again_elsewhere(tmp_path: Path, size: int) -> None:
    orchestrators = {name: Answering(name, lost=1) for name in "ab"}
    orchestrators["b"].lost = 0
    async with proxied(tmp_path, dict(orchestrators)) as proxy:
        answers = [(await proxy.post("/v1/chat/completions", content=b"x" * size)) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text.split()[1] for answer in answers} == {str(size)}
    assert sum(one.asked for one in orchestrators.values()) == 5


async def test_an_orchestrator_that_died_is_not_asked_again(tmp_path: Path) -> None:
    """As a killed process: its connections are reset, further ones refused, and the fewest requests are there."""
    dead: list[str] = []

    class Dying(Answering):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/-/healthz" not in head and not dead:
                dead.append(self.name)
                proxy.servers[self.name].close()
                writer.transport.abort()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n" + self.name.encode())
            await writer.drain()
            writer.close()

    async with proxied(tmp_path, {name: Dying(name) for name in "ab"}) as proxy:
        answer = await proxy.post()
        assert (answer.status_code, answer.text) == (200, "b" if dead == ["a"] else "a")
        assert len(dead) == 1


async def test_a_request_that_is_lost_again_and_again_ends(tmp_path: Path) -> None:
    orchestrators = {name: Answering(name, lost=100) for name in "abc"}
    async with proxied(tmp_path, dict(orchestrators)) as proxy:
        check(await proxy.post(content=b"hello"), EngineUnavailable)
    assert sum(one.asked for one in orchestrators.values()) == 2
    assert sorted(one.asked for one in orchestrators.values()) == [0, 1, 1]  # another one, the second time


@pytest.mark.parametrize("headers", [{}, {"x-session-id": "s"}], ids=["plain", "session"])
async def test_a_killed_orchestrator_loses_none_of_many_requests(tmp_path: Path, headers: dict[str, str]) -> None:
    """As a killed process: its connections, of which most have a request, are reset, and further ones refused."""
    orchestrators = {name: Killable(name) for name in "ab"}
    answers: list[httpx.Response] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            answers.append(await proxy.post("/v1/chat/completions", content=b"x" * 500, headers=headers))

    async with proxied(tmp_path, dict(orchestrators)) as proxy:
        callers = [asyncio.create_task(ask()) for _ in range(16)]
        assert await until(lambda: any(one.busy >= 8 for one in orchestrators.values()))
        killed = max(orchestrators.values(), key=lambda one: one.busy)
        in_flight = killed.busy
        proxy.servers[killed.name].close()
        killed.kill()
        known = len(answers)
        assert await until(lambda: len(answers) > known + 64)
        over.set()
        await asyncio.gather(*callers)
    assert in_flight >= 8
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in answers[known + 32 :]} == {"a" if killed.name == "b" else "b"}


async def test_if_all_orchestrators_are_killed_each_request_has_an_answer_or_an_error(
    tmp_path: Path,
) -> None:
    """Connections that were idle before were lost, too: HAProxy would close without an answer."""
    orchestrators = {name: Killable(name) for name in ("a", "b", "serve")}
    answers: list[httpx.Response] = []
    async with proxied(tmp_path, dict(orchestrators), fallback="serve") as proxy:

        async def ask() -> None:
            answers.append(await proxy.post("/v1/chat/completions", content=b"x" * 500))

        for _ in range(3):
            await asyncio.gather(*(ask() for _ in range(16)))
        last = [asyncio.create_task(ask()) for _ in range(16)]
        assert await until(lambda: orchestrators["a"].busy + orchestrators["b"].busy == 16)
        for name in "ab":
            proxy.servers[name].close()
            orchestrators[name].kill()
        await asyncio.gather(*last)
    assert [answer.status_code for answer in answers[:48]] == [200] * 48
    for answer in answers[48:]:
        if answer.status_code != 200:
            check(answer, EngineUnavailable)


async def test_a_killed_lone_orchestrator_loses_none_where_serves_proxy_waits_for_the_next(tmp_path: Path) -> None:
    orchestrators = {name: Killable(name) for name in ("a", "serve")}
    answers: list[httpx.Response] = []
    async with proxied(tmp_path, dict(orchestrators), fallback="serve") as proxy:

        async def ask() -> None:
            answers.append(await proxy.post("/v1/chat/completions", content=b"x" * 500))

        callers = [asyncio.create_task(ask()) for _ in range(16)]
        assert await until(lambda: orchestrators["a"].busy == 16)
        proxy.servers["a"].close()
        orchestrators["a"].kill()
        await asyncio.gather(*callers)
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "serve")] * 16


async def test_the_time_of_arrival_is_the_proxys_and_stays_for_a_repetition(tmp_path: Path) -> None:
    orchestrators = {name: Answering(name, lost=1) for name in "ab"}
    orchestrators["b"].lost = 0
    before_ms = int(time.time() * 1000)
    async with proxied(tmp_path, dict(orchestrators)) as proxy:
        for _ in range(2):
            await proxy.post("/v1/chat/completions", headers={"x-moa-received-ms": "1"})
    heads = [head for one in orchestrators.values() for head in one.heads]
    times = [int(line.split(": ")[1]) for head in heads for line in head.split("\r\n") if "received-ms" in line]
    assert len(heads) == len(times) == 3
    assert len(set(times)) <= 2
    assert all(before_ms - 1 <= one <= time.time() * 1000 + 1 for one in times)


async def test_a_request_larger_than_the_buffer_is_not_asked_again(tmp_path: Path) -> None:
    orchestrators = {name: Answering(name, lost=100) for name in "ab"}
    async with proxied(tmp_path, dict(orchestrators), {"MOA_HAPROXY_RETRY_BYTES": "16384"}) as proxy:
        check(await proxy.post(content=b"x" * 100_000), EngineUnavailable)
    assert sum(one.asked for one in orchestrators.values()) == 1


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"])
async def test_an_answer_that_has_begun_ends_in_an_error(tmp_path: Path, begun: bytes) -> None:
    orchestrators = {name: Answering(name, lost=100, begun=begun) for name in "ab"}
    async with proxied(tmp_path, dict(orchestrators)) as proxy:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await proxy.post(content=b"hello")
    assert sum(one.asked for one in orchestrators.values()) == 1


async def test_while_no_application_is_known_the_server_is_starting(tmp_path: Path) -> None:
    async with proxied(tmp_path, {}) as proxy:
        assert "starting or recovering" in check(await proxy.post("/v1/chat/completions"), EngineUnavailable)


def serves(text: str, status: str) -> Orchestrator:
    """An orchestrator that gives one answer in plain text, as Serve's own proxy does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = "200 OK" if b"/-/healthz" in head else status
        writer.write(
            f"HTTP/1.1 {line}\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            f"content-length: {len(text)}\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()

    return serve


async def test_a_path_that_serve_does_not_know_yet_is_unavailable(tmp_path: Path) -> None:
    words = "Path '/v1/models' not found. Ping http://.../-/routes for available routes."
    async with proxied(tmp_path, {"a": serves(words, "404 Not Found")}) as proxy:
        check(await proxy.get("/v1/models"), EngineUnavailable)
    async with proxied(tmp_path, {"a": serves("[]", "200 OK")}) as proxy:
        assert (await proxy.get("/v1/models")).text == "[]"


def test_a_path_of_no_application_is_unknown(tmp_path: Path) -> None:
    async def ask() -> None:
        path = write_config(tmp_path, free_port(), free_port(), {"a": free_port()})
        text = (
            path.read_text().replace("path_beg /", "path_beg /other").replace("http-app path /", "http-app path /other")
        )
        path.write_text(text)
        front = int(text.split("frontend http_frontend\n    bind 127.0.0.1:")[1].split()[0])
        environment = {**os.environ, "MOA_PYTHON": sys.executable}
        process = await asyncio.create_subprocess_exec(PROGRAM, "-db", "-f", str(path), env=environment)
        http = client()
        proxy = Proxy(tmp_path, front, 0, process, [], environment, http)
        try:

            async def answers() -> bool:
                with suppress(httpx.TransportError):
                    await proxy.get()
                    return True
                return False

            assert await until(answers)
            message = check(await proxy.get('/a"b%20c'), UnknownPath)
            assert message == str(UnknownPath('/a"b%20c')).replace('"', "%22")
        finally:
            await http.aclose()
            await stopped(process)

    asyncio.run(ask())


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], env={**os.environ, "MOA_PYTHON": sys.executable, **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_without_a_configuration_it_is_haproxy() -> None:
    done = run("-v")
    assert done.returncode == 0
    assert done.stdout.startswith("HAProxy version")


def test_the_configuration_that_ray_writes_is_valid_and_stays(tmp_path: Path) -> None:
    path = write_config(tmp_path, free_port(), free_port(), {"b": 9001, "a": 9002})
    text = path.read_text()
    done = run("-c", "-f", str(path))
    assert done.returncode == 0, done.stderr
    assert path.read_text() == text
    [own] = tmp_path.glob("moa-*.cfg")
    assert [line.split()[1] for line in own.read_text().splitlines() if line.split()[:1] == ["use-server"]] == [
        "a",
        "b",
    ]


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = run("-f", str(tmp_path / "haproxy.cfg"), MOA_HAPROXY_RETRY_BYTES="many")
    assert done.returncode == 1
    assert done.stderr == "Error: Set MOA_HAPROXY_RETRY_BYTES to a whole number from 16384, or to 0, not 'many'.\n"


def test_it_imports_nothing_of_the_server(tmp_path: Path) -> None:
    folder = Path(PROGRAM).parent / "haproxy"
    code = (
        f"import sys; sys.path.insert(0, {str(folder.parent)!r}); import haproxy.program;"
        "heavy = {'deployments', 'serving', 'pydantic', 'ray', 'asyncio'};"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
