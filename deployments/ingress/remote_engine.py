"""A model deployment's handle as an engine."""

import asyncio
import math
import pickle
from collections.abc import AsyncGenerator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from ray.exceptions import RayActorError, RayError, RaySystemError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from deployments.ingress.span_context import below
from deployments.wire import unpack
from serving.conversation import Modality
from serving.engine import Engine, EngineInfo
from serving.errors import DeadlineExceeded, EngineUnavailable, IncompleteGeneration, MoaError, Overloaded
from serving.failures import engine_failure
from serving.runtime.hedging import RetryBudget
from serving.types import Delta, GenerateRequest, Tokens

HEALTH_TIMEOUT_S = 5.0
RECENT_S = 30.0  # an answer this recent shows that an overloaded deployment works


@dataclass(slots=True)
class LastAnswer:
    """Loop time of a deployment's last answer; -inf if there is none, or the deployment was lost since."""

    at: float = -math.inf


class RemoteEngine(Engine):
    """The replicas of one model. A call always has a deadline: Serve itself waits forever for a replica."""

    def __init__(
        self,
        model: str,
        handle: DeploymentHandle[Any],
        *,
        deadline_s: float,
        replicas: int = 1,
        context_tokens: int | None = None,
        unsupported: frozenset[str] = frozenset(),
        tools: bool = False,
        thinking: bool = False,
        modalities: tuple[Modality, ...] = ("text",),
        retries: RetryBudget | None = None,
        revision: str = "",
    ) -> None:
        """Wrap a handle.

        Args:
            model: id of the model.
            handle: its deployment.
            deadline_s: deadline of requests without one of their own.
            replicas: the least number there always is.
            context_tokens: size of the model's context; None: unknown.
            unsupported: abilities that the model lacks, see `EngineInfo`.
            tools: the model accepts tools.
            thinking: the model's reasoning is separated from its text.
            modalities: what the model reads in messages.
            retries: budget of second attempts, which all engines of a server share; None: one of its own.
            revision: of weights and settings, see `EngineInfo`.
        """
        self.model = model
        self._info = EngineInfo(
            context_tokens,
            replicas,
            unsupported,
            tools=tools,
            thinking=thinking,
            raw_prompts=True,
            modalities=modalities,
            provider="vllm",
            revision=revision,
        )
        self._deadline_s = deadline_s
        # By value: by reference each item would become an object in Ray's store.
        self._generate = handle.options(method_name="generate", stream=True, _by_reference=False)
        self._prefill = handle.options(method_name="prefill", _by_reference=False)
        self._calls = handle.options(_by_reference=False)
        self._retries = retries or RetryBudget()
        self._adapter: tuple[str, ...] = ()  # last argument of the replica's methods
        self._last_answer = LastAnswer()

    def adapted(self, adapter: str) -> "RemoteEngine":
        """The same replicas, answering with their LoRA adapter of that id."""
        other = copy(self)
        other.model, other._adapter = adapter, (adapter,)
        return other

    @property
    def info(self) -> EngineInfo:
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the model's answer.

        A replica that is lost before its first item is replaced by another, once, within the server's `RetryBudget`.

        Raises:
            DeadlineExceeded: the deadline of the request, or else of the deployment, passed.
            EngineUnavailable: no replica is ready, or it was lost.
            Overloaded: as many requests wait as the deployment allows.
            MoaError: the replica's own error.
        """
        deadline_s = self._deadline_s if request.deadline_s is None else request.deadline_s
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + deadline_s
        for attempt in (request, replace(request, request_id=f"{request.request_id}-again", session=None)):
            begun = ended = False
            with below(request.trace):
                response: Any = _of_session(self._generate, attempt).remote(attempt, *self._adapter)
            items = aiter(response)
            try:
                while not ended:
                    try:
                        # Around the wait only: a timeout that spans a yield would hit the consumer of the stream.
                        async with asyncio.timeout_at(ends_at):
                            item = await anext(items)
                    except StopAsyncIteration:
                        raise IncompleteGeneration(self.model) from None
                    except TimeoutError:
                        raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
                    self._last_answer.at = loop.time()
                    for packed in pickle.loads(item) if isinstance(item, bytes) else item:
                        delta = unpack(packed)
                        begun, ended = True, delta.terminal
                        yield delta
                return
            except Exception as error:
                known = self._translated(error)
                lost = isinstance(known, EngineUnavailable) and not begun and attempt is request
                if lost and self._retries.take():
                    continue
                if known is error:
                    raise
                raise known from error
            finally:
                if not ended:
                    response.cancel()  # leaving the loop does not

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Have the replica of the request's session compute the prompt up to `marker`. Raises like `generate`."""
        with below(request.trace):
            response = _of_session(self._prefill, request).remote(request, marker, *self._adapter)
        await self._awaited(response)

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Have a replica count the tokens of the request's prompt. Raises like `generate`."""
        count: int = await self._awaited(self._calls.count_tokens.remote(request, *self._adapter))
        return count

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        """Have a replica tokenize the request's prompt. Raises like `generate`."""
        tokens: Tokens = await self._awaited(self._calls.tokens.remote(request, texts, *self._adapter))
        return tokens

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        """Have a replica make text of token ids. Raises like `generate`."""
        text: str = await self._awaited(self._calls.text.remote(token_ids, *self._adapter))
        return text

    async def _awaited(self, response: Any) -> Any:
        """Result of a call that is not streamed, within the deadline."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await response
        except TimeoutError:
            response.cancel()
            raise DeadlineExceeded(f"'{self.model}'", self._deadline_s) from None
        except asyncio.CancelledError:
            response.cancel()
            raise
        except Exception as error:
            raise self._translated(error) from error

    async def check_health(self) -> None:
        """Return if a replica answers; raise `EngineUnavailable` otherwise.

        An overloaded deployment still works: if the call is rejected or late, but the deployment answered within the
        last `RECENT_S`, it counts as healthy.
        """
        await check_replicas(self.model, self._calls, self._last_answer.at)

    def _translated(self, error: Exception) -> MoaError:
        known = translated(self.model, error)
        if isinstance(known, EngineUnavailable):
            self._last_answer.at = -math.inf
        return known


async def check_replicas(model: str, calls: DeploymentHandle[Any], answered_at: float) -> None:
    """Return if a replica behind `calls` answers, or the deployment is overloaded but answered recently.

    Args:
        model: id of the model, for errors.
        calls: handle of the deployment.
        answered_at: loop time of its last answer; -inf: none.

    Raises:
        EngineUnavailable: neither.
    """
    try:
        await asyncio.wait_for(calls.stats.remote(), HEALTH_TIMEOUT_S)
    except TimeoutError:
        if asyncio.get_running_loop().time() - answered_at >= RECENT_S:
            raise EngineUnavailable(model) from None
    except Exception as error:
        known = translated(model, error)
        if isinstance(known, Overloaded):
            return
        if known is error:
            raise
        raise known from error


def _of_session(handle: DeploymentHandle[Any], request: GenerateRequest) -> DeploymentHandle[Any]:
    """`handle` for a call of the request's session, by which Serve chooses the replica: see `session_router`."""
    return handle if request.session is None else handle.options(session_id=request.session)


def translated(model: str, error: BaseException) -> MoaError:
    """The error of this project for any error of Ray or of a replica."""
    if isinstance(error, MoaError):
        return error
    if isinstance(error, RayTaskError):
        cause = error.cause
        return translated(model, cause) if cause is not None and cause is not error else engine_failure(model, error)
    if isinstance(error, BackPressureError):
        return Overloaded(f"'{model}' has as many waiting requests as it accepts; retry later.")
    if isinstance(error, TaskCancelledError | RequestCancelledError):
        return EngineUnavailable(model, "the call was cancelled while its replica stopped")
    if isinstance(error, DeploymentUnavailableError):
        return EngineUnavailable(model, "its replicas cannot be started")
    if isinstance(error, RayActorError | RaySystemError):
        return EngineUnavailable(model, "its replica was lost")
    if isinstance(error, RayError | RayServeException):
        return EngineUnavailable(model, f"{type(error).__name__} on the way to its replica")
    return engine_failure(model, error)
