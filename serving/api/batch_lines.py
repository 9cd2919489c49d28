"""Lines of batches as requests of the API, in this process; and the tasks that work on batches."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.routing import APIRoute

from serving.api.admission import Admission
from serving.api.dependencies import Server
from serving.api.error_handlers import ErrorForm, add_error_handlers
from serving.api.errors import error_json
from serving.api.exchange import CALLER, Api
from serving.api.keys import Caller
from serving.api.owners import NAMED, caller_of
from serving.batches.load import report_always
from serving.batches.parts import LineAnswer, LineRequest, RunParts
from serving.batches.service import Batches
from serving.batches.slots import Slots
from serving.batches.worker import BatchWorker
from serving.cards import Task
from serving.errors import MoaError, Unauthorized

LINES = 2**20  # admitted at once: the worker itself limits them
NO_KEY = Unauthorized("The API key that made this batch has been removed.")


class BatchLines:
    """Answers lines by the routes of the API, each as a request of the caller that made the batch.

    Requests in progress of interactive callers are counted apart: lines take no place of theirs.
    """

    def __init__(
        self,
        server: Server,
        routers: Sequence[APIRouter],
        error_forms: Mapping[str, ErrorForm],
        endpoints: Mapping[str, Collection[Task]],
    ) -> None:
        """`routers`: of the paths that may be asked. `endpoints`: paths of batches, with the tasks of their models."""
        self._server = replace(server, admission=Admission(LINES, server.settings.retry_after_s, server.observer))
        self._endpoints = endpoints
        self._app = Api(echo_request_id=True, cors=None, lifespan=None)
        self._app.state.server = self._server
        for router in routers:
            self._app.include_router(router)
        paths = {route.path for router in routers for route in router.routes if isinstance(route, APIRoute)}
        add_error_handlers(self._app, self._server, paths, error_forms)

    async def model_check(self, owner: str, endpoint: str) -> Callable[[str], str | None]:
        """A function that returns a sentence if the endpoint cannot answer the owner with the model."""
        caller = await self._caller(owner)

        def check(model: str) -> str | None:
            if caller is None:
                return str(NO_KEY)
            try:
                self._server.card(model, caller, self._endpoints[endpoint])
            except MoaError as error:
                return str(error)
            return None

        return check

    async def at_once(self, owner: str) -> int | None:
        """Number of the owner's lines that its limit of requests in progress allows; None: any number."""
        caller = await self._caller(owner)
        return None if caller is None else caller.limits.concurrent_requests

    async def answer(self, line: LineRequest) -> LineAnswer:
        """Answer one line. All errors are answers."""
        caller = await self._caller(line.owner)
        if caller is None:
            return LineAnswer(NO_KEY.status, orjson.dumps(error_json(NO_KEY)))
        return await self._ask(line, replace(caller, priority_class="batch", max_in_flight=None))

    async def _caller(self, owner: str) -> Caller | None:
        """The caller that is `owner`, by a key of the settings or of the store; None: it has no valid key."""
        caller = caller_of(self._server.keys, owner)
        if caller is None and self._server.stored_keys is not None and owner.startswith(NAMED):
            return await self._server.stored_keys.named(owner.removeprefix(NAMED))
        return caller

    async def _ask(self, line: LineRequest, caller: Caller) -> LineAnswer:
        body: list[dict[str, Any]] = [{"type": "http.request", "body": line.body, "more_body": False}]
        status, pieces = 500, list[bytes]()
        retry_after_s: float | None = None

        async def receive() -> dict[str, Any]:
            if body:
                return body.pop()
            await asyncio.Event().wait()  # nobody hangs up
            raise AssertionError

        async def send(message: Any) -> None:
            nonlocal status, retry_after_s
            if message["type"] == "http.response.start":
                status = message["status"]
                retry_after_s = _retry_after_s(message["headers"])
            else:
                pieces.append(message.get("body", b""))

        headers = [(b"content-type", b"application/json"), (b"x-request-id", line.request_id.encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": line.endpoint,
            "query_string": b"",
            "headers": headers,
            CALLER: caller,
        }
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # logged by the API: one broken line must not stop its batch
            return LineAnswer(500, orjson.dumps(error_json(error)))
        return LineAnswer(status, b"".join(pieces), retry_after_s)


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    given = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return float(given) if given.isdigit() else None


class BatchTasks:
    """Tasks beside the API: the report of its load, and the worker where this process has it."""

    def __init__(
        self,
        server: Server,
        batches: Batches,
        routers: Sequence[APIRouter],
        error_forms: Mapping[str, ErrorForm],
        endpoints: Mapping[str, Collection[Task]],
    ) -> None:
        """See `BatchLines`."""
        self._server, self._batches = server, batches
        self._reports: asyncio.Task[None] | None = None
        self._worker: BatchWorker | None = None
        if batches.works:
            lines = BatchLines(server, routers, error_forms, endpoints)
            slots = Slots(batches.settings.min_concurrent)
            limit = server.settings.max_body_bytes
            self._worker = BatchWorker(
                RunParts(batches, slots, lines.answer, lines.model_check, lines.at_once, limit, server.observer)
            )

    def start(self) -> None:
        """Begin."""
        admission = self._server.admission
        reports = report_always(self._batches.store.expiring, lambda: admission.in_flight, admission.requests.limit)
        self._reports = asyncio.create_task(reports, name="batch-load")
        if self._worker is not None:
            self._worker.start()

    async def stop(self) -> None:
        """End. Lines in progress are put back."""
        if self._reports is not None:
            self._reports.cancel()
            with suppress(asyncio.CancelledError):
                await self._reports
        if self._worker is not None:
            await self._worker.stop()
