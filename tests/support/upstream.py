"""An HTTP server on a socket that plays the same bytes, pauses and breaks to every request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum


class Break(Enum):
    """Action of a server other than sending bytes or waiting."""

    HOLD = "hold"  # send nothing more and keep the connection open
    CLOSE = "close"  # end of the connection
    RESET = "reset"  # TCP reset: unread and unsent data are lost
    NEXT = "next"  # the response has ended; read the next request of the connection


Step = bytes | float | Break  # bytes to send, seconds to wait, or a break
Steps = Callable[[], Iterable[Step]]


@dataclass
class Upstream:
    """A running server and what it has seen."""

    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)  # heads and bodies


@asynccontextmanager
async def upstream(steps: Steps) -> AsyncIterator[Upstream]:
    """Serve `steps` to each request on a free port of the loopback interface."""
    seen = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _request(reader, seen) and await _played(steps(), writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # at the end of the test
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield seen
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader, seen: Upstream) -> bool:
    """Read one request; False at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    seen.requests.append(head + await reader.readexactly(length))
    return True


async def _played(steps: Iterable[Step], writer: asyncio.StreamWriter) -> bool:
    """Play `steps`; True if the connection may have another request."""
    for step in steps:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif step is Break.HOLD:
            await asyncio.Event().wait()
        elif step is Break.RESET:
            writer.transport.abort()
            return False
        else:
            return step is Break.NEXT
    return False
