"""Compilation of grammars outside the replica and its engine: with a deadline, once for equal ones, and stoppable."""

import asyncio
import hashlib
import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.model.engine_errors import reason_of
from deployments.model.fair_places import FairPlaces
from serving.errors import EngineFailed, InvalidRequest, Overloaded
from serving.failures import log_exception

WORKER = Path(__file__).with_name("grammar_worker.py")
AT_ONCE = 8  # grammars of one tenant compiled at the same time; more wait
KEPT = 1  # beside them, for tenants of which none is being compiled
CACHED = 2048  # grammars whose outcome is known
FORGET_S = 60.0  # after a deadline, which a later attempt may keep
LINE_BYTES = 2**20

logger = logging.getLogger(__name__)


class WorkerLost(Exception):
    """The process that compiles ended."""


class JobDied(Exception):
    """The process of one grammar ended without an answer: by its limits, or by an error within xgrammar."""


@dataclass(slots=True)
class _Shared:
    """A grammar that is being compiled, and the number of a tenant's requests that wait for it."""

    task: "asyncio.Task[str | None]"
    waiting: int = 0


@dataclass(slots=True)
class _Worker:
    """The process that compiles, and the jobs that it has not answered."""

    process: asyncio.subprocess.Process
    jobs: dict[int, "asyncio.Future[Any]"] = field(default_factory=dict)
    reader: "asyncio.Task[None] | None" = None

    def send(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def read(self) -> None:
        """Hand answers to those who wait, until the process ends. One whose answer cannot be read is killed."""
        assert self.process.stdout is not None
        try:
            while line := await self.process.stdout.readline():
                answer = json.loads(line)
                job = self.jobs.pop(answer.get("id", 0), None)
                if job is not None and not job.done():
                    job.set_result(answer)
        except (ValueError, AttributeError) as error:  # a line too long, no JSON, or no object
            log_exception(logger, error, "An answer of the process that compiles grammars cannot be read")
        finally:
            self.kill()  # nobody would read its next answers, and another process takes its place
            for job in self.jobs.values():
                if not job.done():
                    job.set_exception(WorkerLost())
            self.jobs.clear()

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()

    @property
    def alive(self) -> bool:
        return self.process.returncode is None and self.reader is not None and not self.reader.done()


class GrammarCompiler:
    """Compiles the grammars of one model's requests before its engine gets them."""

    def __init__(
        self,
        model: str,
        vocabulary: Callable[[], str],
        *,
        timeout_s: float,
        mask_s: float,
        compact: bool = False,
        threads: int = 1,
        command: Sequence[str] = (sys.executable, "-P", str(WORKER)),
    ) -> None:
        """Start nothing yet.

        Args:
            model: id of the model, for errors.
            vocabulary: its tokens as xgrammar's JSON (`TokenizerInfo.serialize_json`); called once, in a thread.
            timeout_s: deadline of one grammar, and before that of its wait for a place among those being compiled.
            mask_s: CPU time per token that the engine may need for a grammar.
            compact: JSON has no free white space (vLLM's `disable_any_whitespace`).
            threads: of the compilation of one grammar.
            command: of the process that compiles.
        """
        self._model, self._vocabulary, self._command = model, vocabulary, command
        self.timeout_s, self._mask_s = timeout_s, mask_s
        self._compact, self._threads = compact, threads
        self._settings: bytes | None = None
        self._known: OrderedDict[bytes, tuple[str | None, float]] = OrderedDict()  # problem, and when it is forgotten
        self._shared: dict[tuple[str, bytes], _Shared] = {}  # by tenant: nobody waits in another's turn
        self._worker: _Worker | None = None
        self._starting: asyncio.Task[None] | None = None
        self._places = FairPlaces(AT_ONCE + KEPT, kept=KEPT)
        self.compilations = 0  # begun since the start

    async def start(self) -> None:
        """Start the process, so that the first request does not wait for it. Raises `WorkerLost`, `OSError`."""
        await self._running_worker()

    async def check(self, kind: str, text: str, path: str, tenant: str = "") -> None:
        """Compile a rule; equal ones are compiled once. A caller that goes away ends what nobody else waits for.

        Args:
            kind: "json" (a schema), "regex", "grammar" or "structural_tag".
            text: the rule, as vLLM's engine gets it.
            path: field of the request with the rule, for errors.
            tenant: id of the caller's; tenants have their grammars compiled in turns. "": all callers are one.

        Raises:
            InvalidRequest: no grammar can be made of it, or not within the deadline, or it would slow the engine down.
            Overloaded: too many grammars waited before it.
            EngineFailed: the process that compiles cannot be started.
        """
        key = hashlib.sha256(f"{kind}\0{text}".encode(errors="surrogatepass")).digest()
        known = self._outcome_of(key)
        problem = await self._joined(key, kind, text, tenant) if known is None else known[0]
        if problem is not None:
            raise InvalidRequest(f"{problem.format(path=path)}.", path)

    def _outcome_of(self, key: bytes) -> tuple[str | None, float] | None:
        known = self._known.get(key)
        if known is None or time.monotonic() >= known[1]:
            return None
        self._known.move_to_end(key)
        return known

    async def _joined(self, key: bytes, kind: str, text: str, tenant: str) -> str | None:
        shared = self._shared.get((tenant, key))
        if shared is None:
            task = asyncio.create_task(self._in_turn(key, kind, text, tenant))
            shared = self._shared[tenant, key] = _Shared(task)
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                if self._shared.get((tenant, key)) is shared:
                    del self._shared[tenant, key]
                shared.task.cancel()

    async def _in_turn(self, key: bytes, kind: str, text: str, tenant: str) -> str | None:
        """Outcome of a grammar once it is the tenant's turn. Raises `Overloaded` if that is not within the deadline."""
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._places.take(tenant)
        except TimeoutError:
            raise Overloaded(
                f"Too many grammars wait to be compiled for '{self._model}'; retry later, or send fewer new schemas,"
                " patterns and strict tools at once.",
                self.timeout_s,
            ) from None
        try:
            known = self._outcome_of(key)  # another tenant's, meanwhile
            return await self._outcome(key, kind, text) if known is None else known[0]
        finally:
            self._places.give(tenant)

    async def _outcome(self, key: bytes, kind: str, text: str) -> str | None:
        """Sentence about what is wrong with a grammar, with `{path}`; None: nothing."""
        forgotten_at = float("inf")
        try:
            problem = _sentence(await self._answer(kind, text))
        except TimeoutError:
            problem = f"Simplify '{{path}}': its grammar takes more than {self.timeout_s:g} s to compile"
            forgotten_at = time.monotonic() + FORGET_S
        except JobDied:
            problem = "Simplify '{path}': its grammar cannot be compiled within the limits of time and memory"
            forgotten_at = time.monotonic() + FORGET_S
        except (WorkerLost, OSError) as error:
            log_exception(logger, error, "The process that compiles grammars of '%s' ended", self._model)
            raise EngineFailed(self._model, "the process that compiles grammars ended twice") from None
        self._known[key] = (problem, forgotten_at)
        self._known.move_to_end(key)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return problem

    async def _answer(self, kind: str, text: str) -> str | None:
        """Error of one grammar, from a process that may be replaced once."""
        try:
            return await self._job(await self._running_worker(), kind, text)
        except WorkerLost:
            return await self._job(await self._running_worker(), kind, text)

    async def _job(self, worker: _Worker, kind: str, text: str) -> str | None:
        self.compilations += 1
        number = self.compilations
        answer = worker.jobs[number] = asyncio.get_running_loop().create_future()
        limits = {"cpu_s": self.timeout_s * self._threads, "mask_s": self._mask_s}
        worker.send({"id": number, "kind": kind, "text": text, **limits})
        try:
            async with asyncio.timeout(self.timeout_s):
                outcome = await answer
        except (TimeoutError, asyncio.CancelledError):
            worker.jobs.pop(number, None)
            worker.send({"cancel": number})
            raise
        if outcome.get("died"):
            raise JobDied
        error: str | None = outcome["error"]
        return error

    async def _running_worker(self) -> _Worker:
        if self._worker is None or not self._worker.alive:
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._replaced())
            await asyncio.shield(self._starting)  # others wait for it, even if this caller goes away
        assert self._worker is not None
        return self._worker

    async def _replaced(self) -> None:
        """Start a process in place of one that ended."""
        if self._settings is None:
            vocabulary = await asyncio.to_thread(self._vocabulary)
            settings = {"vocabulary": vocabulary, "compact": self._compact, "threads": self._threads}
            self._settings = json.dumps(settings).encode() + b"\n"
        self._worker = await self._started(self._settings)

    async def _started(self, settings: bytes) -> _Worker:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, limit=LINE_BYTES)
        worker = _Worker(process)
        ready = worker.jobs[0] = asyncio.get_running_loop().create_future()
        worker.reader = asyncio.create_task(worker.read())
        assert process.stdin is not None
        process.stdin.write(settings)
        await ready
        return worker

    async def close(self) -> None:
        """End the process."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            await worker.process.wait()
        if worker is not None and worker.reader is not None:
            await worker.reader


def _sentence(error: str | None) -> str | None:
    if error is None:
        return None
    if error == "SlowTokens":
        return "Simplify '{path}': its grammar costs the engine too much time for each token; repeat fewer parts"
    why = reason_of(error.partition(": ")[2])
    return "Change '{path}': no grammar can be made of it: " + why.replace("{", "{{").replace("}", "}}")
