"""Callers of a server of `tests.support.nodes`, and the answers that they got."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.nodes import GUARD_S, WORDS, until


@dataclass(frozen=True)
class Asked:
    """A request and its end. `status` 0: a broken connection."""

    streamed: bool
    status: int
    whole: bool  # every word of the answer, then its regular end
    degraded: bool
    took_s: float
    text: str  # the answer's, or the error


@dataclass
class Answer:
    """An answer, as far as it has arrived."""

    text: str = ""
    finished: bool = False
    degraded: bool = False

    def add(self, body: dict[str, Any], part: str) -> None:
        """Take a chunk, or the whole answer. `part`: its key within a choice."""
        for choice in body.get("choices", ()):
            self.text += choice[part].get("content") or ""
            self.finished = self.finished or choice["finish_reason"] == "stop"
        self.degraded = self.degraded or bool((body.get("moa") or {}).get("degraded"))

    @property
    def whole(self) -> bool:
        """True if no word of a model's numbered ones is missing."""
        words = self.text.split()
        numbered = [f"{words[0][0]}{number}" for number in range(len(words))] if words else []
        return self.finished and len(words) >= WORDS and words == numbered


async def ask(client: httpx.AsyncClient, url: str, model: str, question: str, *, streamed: bool) -> Asked:
    """Ask once; a broken connection is an answer, too."""
    body: dict[str, Any] = {
        "model": model, "stream": streamed, "messages": [{"role": "user", "content": question}]
    }  # fmt: skip
    if model == "moa-lite":
        body["moa"] = {"trace": True}
    began = time.monotonic()
    status, answer, ended, error = 0, Answer(), not streamed, ""
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            status = response.status_code
            if not streamed or status != 200:
                content = await response.aread()
                error = "" if status == 200 else content.decode()
                answer.add(json.loads(content), "message")
            else:
                async for event in events(response):
                    ended = event == "[DONE]"
                    if not ended:
                        answer.add(json.loads(event), "delta")
    except (httpx.TransportError, ValueError) as failure:
        error = repr(failure)
    whole = status == 200 and ended and answer.whole and not error
    return Asked(streamed, status, whole, answer.degraded, time.monotonic() - began, error or answer.text)


async def events(response: httpx.Response) -> AsyncIterator[str]:
    """Data of the events of a stream."""
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")


@dataclass
class Callers:
    """Callers in a thread of their own, each of which asks again until `stop`, or once."""

    url: str
    model: str
    streams: int = 0
    wholes: int = 0
    question: str = "question"
    once: bool = False
    asked: list[Asked] = field(default_factory=list)
    in_flight: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Ask no more, and wait for the answers in progress."""
        self._stopped.set()
        assert self._thread is not None
        self._thread.join(GUARD_S)
        assert not self._thread.is_alive()

    def lost(self) -> list[Asked]:
        """Requests without a whole answer, and streams that were cut."""
        return [one for one in self.asked if not one.whole]

    def degraded(self) -> int:
        return sum(one.degraded for one in self.asked)

    async def _all(self) -> None:
        async with httpx.AsyncClient(timeout=GUARD_S) as client:
            callers = [self._one(client, number, True) for number in range(self.streams)]
            callers += [self._one(client, self.streams + number, False) for number in range(self.wholes)]
            await asyncio.gather(*callers)

    async def _one(self, client: httpx.AsyncClient, number: int, streamed: bool) -> None:
        count = 0
        while not (self._stopped.is_set() or (self.once and count)):
            count += 1
            self.in_flight += 1
            one = await ask(client, self.url, self.model, f"{self.question} {number} {count}", streamed=streamed)
            self.in_flight -= 1
            self.asked.append(one)


def counts(*groups: Callers) -> str:
    """Requests of callers and their ends, for a table."""
    asked = [one for callers in groups for one in callers.asked]
    said = []
    for kind, streamed in (("streams", True), ("whole requests", False)):
        if of := [one for one in asked if one.streamed == streamed]:
            said.append(
                f"{len(of)} {kind}, {sum(one.whole for one in of)} whole, {sum(not one.whole for one in of)} lost"
            )
    return f"{'; '.join(said)}; {sum(one.degraded for one in asked)} degraded"


@dataclass
class Held(Callers):
    """Streams and whole requests, asked once, that models answer until they are let go by name."""

    gates: Path = Path()
    name: str = ""

    def __post_init__(self) -> None:
        self.once = True
        self.question = f"hold {self.name}"

    def wait_until_begun(self) -> None:
        """Until a model has begun each answer."""
        count = self.streams + self.wholes
        until(lambda: len([*self.gates.glob(f"{self.name}-*")]) == count, lambda: self.asked)

    def let_go(self) -> None:
        """Let the models end their answers."""
        (self.gates / self.name).touch()

    def stop(self) -> None:
        self.let_go()
        super().stop()
