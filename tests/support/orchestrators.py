"""Orchestrators behind the HAProxy of a test: each serves one connection."""

import asyncio
from contextlib import suppress


class Silent:
    """Reads requests, answers none, and counts the callers that disconnected."""

    def __init__(self) -> None:
        self.arrived, self.left = 0, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/-/healthz" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        self.arrived += 1
        with suppress(ConnectionError):  # a reset is a disconnect, too
            while await reader.read(100):
                pass
        self.left += 1
        writer.close()


class Answering:
    """Answers after `wait_s` with its name and the length of the body; the first `lost` requests get no answer."""

    def __init__(self, name: str = "a", *, lost: int = 0, begun: bytes = b"", wait_s: float = 0.0) -> None:
        self.name, self.lost, self.begun, self.wait_s = name, lost, begun, wait_s
        self.asked = 0
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            await reader.readexactly(length)
            if "/-/healthz" not in head:
                self.asked += 1
                self.heads.append(head)
                if self.asked <= self.lost:
                    writer.write(self.begun)
                    await writer.drain()
                    await asyncio.sleep(0.05)
                    writer.transport.abort()
                    return
                await asyncio.sleep(self.wait_s)
            text = f"{self.name} {length}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
            await writer.drain()
        writer.close()


class Killable:
    """Answers each request of a connection after `wait_s` with its name, until it is killed."""

    def __init__(self, name: str, wait_s: float = 0.1) -> None:
        self.name, self.wait_s = name, wait_s
        self.busy = 0
        self._connections: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0))
                if "/-/healthz" not in head:
                    self.busy += 1
                    await asyncio.sleep(self.wait_s)
                    self.busy -= 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.name) + self.name.encode())
                await writer.drain()
        self._connections.discard(writer)
        writer.close()

    def kill(self) -> None:
        """Reset all connections."""
        for connection in [*self._connections]:
            connection.transport.abort()


class Gate:
    """Answers `/slow` when it is opened, and anything else at once."""

    def __init__(self) -> None:
        self.opened, self.waiting = asyncio.Event(), 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if b"/slow" in await reader.readuntil(b"\r\n\r\n"):
                self.waiting += 1
                await self.opened.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()
