"""`python -m loadtest.bench.transports`: compare ways to carry a call from an orchestrator to a model's replica.

Each transport has a server process that answers a request of 1 KB with a stream of one item. The client, one asyncio
loop, measures a call on an idle server, a fan-out of three, calls/s with 64 open calls, and its own CPU time per call.
The transports take turns, so that the ratios hold on a busy machine.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import statistics
import struct
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from loadtest.progress import ProgressLine
from serving.command_line import CommandLine, above, at_least
from serving.ports import LOOPBACK, free_port

Call = Callable[[bytes], Awaitable[bytes]]
REQUEST = {"id": "chatcmpl-0", "messages": [{"role": "user", "content": "word " * 180}], "max_tokens": 16}
ANSWER = [[0, "word " * 16, "stop", [180, 16, 0, 0], [0.001, 0.01, 0.02], None, 0]]
OPEN_CALLS = 64
LENGTH = struct.Struct("<IQ")  # of the payload, and the number of the call
COLUMNS = ("transport", "idle call ms", "fan-out of 3 ms", "calls/s", "client CPU us/call")
RUNNING: list[object] = []  # servers and tasks, which end with their process
encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode


def answered(request: bytes) -> bytes:
    """Answer of every server: both messages are decoded and encoded, as the real ones are."""
    decode(request)
    return encode(ANSWER)


class Frames(asyncio.Protocol):
    """Frames with a length and the number of a call, on one connection."""

    def __init__(self, received: "Callable[[Frames, int, bytes], None]") -> None:
        """Give each frame to `received`."""
        self._received, self._buffer = received, bytearray()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= LENGTH.size:
            length, number = LENGTH.unpack_from(buffer, at)
            end = at + LENGTH.size + length
            if len(buffer) < end:
                break
            self._received(self, number, bytes(buffer[at + LENGTH.size : end]))
            at = end
        del buffer[:at]

    def send(self, number: int, payload: bytes) -> None:
        """Send one frame."""
        self.transport.write(LENGTH.pack(len(payload), number) + payload)


async def serve_frames(port: int) -> None:
    """Serve frames; each call is a task."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(frames: Frames, number: int, request: bytes) -> None:
        frames.send(number, answered(request))

    def received(frames: Frames, number: int, request: bytes) -> None:
        task = asyncio.create_task(answer(frames, number, request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await asyncio.get_running_loop().create_server(lambda: Frames(received), LOOPBACK, port)


@asynccontextmanager
async def call_frames(port: int) -> AsyncGenerator[Call, None]:
    """Call over one connection."""
    waiting: dict[int, asyncio.Future[bytes]] = {}
    loop = asyncio.get_running_loop()
    transport, frames = await loop.create_connection(
        lambda: Frames(lambda _, number, answer: waiting.pop(number).set_result(answer)), LOOPBACK, port
    )
    count = 0

    async def call(request: bytes) -> bytes:
        nonlocal count
        count += 1
        future: asyncio.Future[bytes] = loop.create_future()
        waiting[count] = future
        frames.send(count, request)
        return await future

    yield call
    transport.close()


async def serve_grpc(port: int) -> None:
    """Serve a streaming method of bytes."""
    import grpc

    async def generate(request: bytes, _: Any) -> AsyncGenerator[bytes, None]:
        yield answered(request)

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(generate)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", {"generate": handler}),))
    server.add_insecure_port(f"{LOOPBACK}:{port}")
    await server.start()
    RUNNING.append(server)


@asynccontextmanager
async def call_grpc(port: int) -> AsyncGenerator[Call, None]:
    """Call over one channel."""
    import grpc

    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel:
        generate = channel.unary_stream("/bench/generate")

        async def call(request: bytes) -> bytes:
            answer = b""
            async for item in generate(request):
                answer = item
            return answer

        yield call


async def serve_zmq(port: int) -> None:
    """Serve a ROUTER socket."""
    import zmq.asyncio

    socket = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
    socket.bind(f"tcp://{LOOPBACK}:{port}")

    async def answer() -> None:
        while True:
            peer, number, request = await socket.recv_multipart()
            await socket.send_multipart([peer, number, answered(request)])

    RUNNING.append(asyncio.create_task(answer()))


@asynccontextmanager
async def call_zmq(port: int) -> AsyncGenerator[Call, None]:
    """Call over one DEALER socket."""
    import zmq.asyncio

    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.connect(f"tcp://{LOOPBACK}:{port}")
    waiting: dict[bytes, asyncio.Future[bytes]] = {}
    loop = asyncio.get_running_loop()
    count = 0

    async def receive() -> None:
        while True:
            number, answer = await socket.recv_multipart()
            waiting.pop(number).set_result(answer)

    async def call(request: bytes) -> bytes:
        nonlocal count
        count += 1
        number = count.to_bytes(8, "little")
        future: asyncio.Future[bytes] = loop.create_future()
        waiting[number] = future
        await socket.send_multipart([number, request])
        return await future

    task = asyncio.create_task(receive())
    yield call
    task.cancel()
    socket.close(0)


async def serve_http(port: int) -> None:
    """Serve HTTP/1.1 by uvicorn."""
    import uvicorn

    async def app(_: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        answer = answered((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    RUNNING.append(task)
    while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)


@asynccontextmanager
async def call_http(port: int) -> AsyncGenerator[Call, None]:
    """Call by httpx over kept connections."""
    import httpx

    limits = httpx.Limits(max_connections=OPEN_CALLS, max_keepalive_connections=OPEN_CALLS)
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", limits=limits, timeout=60) as client:

        async def call(request: bytes) -> bytes:
            return (await client.post("/", content=request)).content

        yield call


@asynccontextmanager
async def call_handle() -> AsyncGenerator[Call, None]:
    """Call a replica of Ray Serve by its handle, with the options of `deployments.ingress.remote_engine`."""
    import ray
    from ray import serve

    from deployments.cluster.loopback import keep_to_loopback

    keep_to_loopback()
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    await asyncio.to_thread(serve.start, proxy_location="Disabled")

    class Trivial:
        async def generate(self, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
            yield ANSWER

    options: dict[str, Any] = {"max_ongoing_requests": 1000, "ray_actor_options": {"num_cpus": 0}}
    bound = serve.deployment(**options)(Trivial).bind()
    handle: Any = (await asyncio.to_thread(serve.run, bound)).options(
        method_name="generate", stream=True, _by_reference=False
    )

    async def call(request: bytes) -> bytes:
        answer: Any = b""
        async for item in handle.remote(REQUEST):
            answer = item
        return bytes(len(answer))

    yield call
    await asyncio.to_thread(serve.shutdown)
    ray.shutdown()


SERVERS: dict[str, Callable[[int], Awaitable[None]]] = {
    "frames": serve_frames,
    "grpc": serve_grpc,
    "zmq": serve_zmq,
    "http": serve_http,
}
CLIENTS: dict[str, Callable[[int], Any]] = {
    "frames": call_frames,
    "grpc": call_grpc,
    "zmq": call_zmq,
    "http": call_http,
}


def _serve(name: str, port: int, ready: Connection) -> None:
    async def serve() -> None:
        await SERVERS[name](port)
        ready.send(True)
        await asyncio.Event().wait()

    _run(serve)


def _run(main: Callable[[], Any]) -> Any:
    """Run on uvloop, which Ray's processes use, too."""
    import uvloop

    return uvloop.run(main())


async def _measure(call: Call, seconds: float) -> list[float]:
    """One round: idle call in ms, fan-out in ms, calls/s, CPU microseconds per call."""
    loop = asyncio.get_running_loop()

    async def once() -> None:
        await call(encode(REQUEST))

    async def timed(calls: int) -> float:
        took = []
        ends_at = loop.time() + seconds
        while loop.time() < ends_at:
            started = time.perf_counter()
            await asyncio.gather(*(once() for _ in range(calls)))
            took.append(time.perf_counter() - started)
        return statistics.median(took) * 1000

    idle_ms, fan_out_ms = await timed(1), await timed(3)
    count, ends_at = 0, loop.time() + seconds

    async def repeat() -> None:
        nonlocal count
        while loop.time() < ends_at:
            await once()
            count += 1

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(repeat() for _ in range(OPEN_CALLS)))
    return [
        idle_ms,
        fan_out_ms,
        count / (time.perf_counter() - started),
        (time.process_time() - cpu) / count * 1e6,
    ]


async def _compare(parsed: argparse.Namespace, ports: dict[str, int], line: ProgressLine) -> dict[str, list[float]]:
    found: dict[str, list[list[float]]] = {}
    async with AsyncExitStack() as stack:
        calls = {name: await stack.enter_async_context(CLIENTS[name](port)) for name, port in ports.items()}
        if not parsed.no_ray:
            calls["handle"] = await stack.enter_async_context(call_handle())
        for round_ in range(parsed.rounds):
            for name, call in calls.items():
                line.show(f"round {round_ + 1} of {parsed.rounds}: {name}")
                found.setdefault(name, []).append(await _measure(call, parsed.seconds))
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}


@contextmanager
def servers(names: Sequence[str]) -> Iterator[dict[str, int]]:
    """Run each of these servers in a process of its own; yield their ports."""
    context = multiprocessing.get_context("spawn")
    ports = {name: free_port() for name in names}
    with ExitStack() as stack:
        for name, port in ports.items():
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_serve, args=(name, port, there), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            there.close()
            here.recv()
            here.close()
        yield ports


def main(arguments: list[str] | None = None) -> int:
    """Measure all transports and print a table."""
    parser = CommandLine(prog="python -m loadtest.bench.transports", description=__doc__)
    parser.add_argument("--rounds", type=at_least(1, int, 1000), default=5, help="turns of each transport; default: 5")
    parser.add_argument(
        "--seconds", type=above(0, 3600), default=1.0, help="duration of each of three measurements; default: 1"
    )
    parser.add_argument("--no-ray", action="store_true", help="leave out Ray Serve's handles")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parsed = parser.parse_args(arguments)
    line = ProgressLine()
    with servers(tuple(SERVERS)) as ports:
        rows = _run(lambda: _compare(parsed, ports, line))
    line.end()
    if parsed.json:
        print(json.dumps({name: dict(zip(COLUMNS[1:], row, strict=True)) for name, row in rows.items()}))
        return 0
    print("".join(f"{name:>20}" for name in COLUMNS))
    for name, (idle_ms, fan_out_ms, per_s, cpu_us) in rows.items():
        print(f"{name:>20}{idle_ms:>20.2f}{fan_out_ms:>20.2f}{per_s:>20.0f}{cpu_us:>20.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
