"""Grading of a share of the answers by a judge, in the background and at the lowest priority."""

import asyncio
import hashlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from serving.conversation import Thinking
from serving.engine import Engine, complete
from serving.errors import DeadlineExceeded, MoaError
from serving.failures import engine_failures, log_exception
from serving.images import readable
from serving.quality.settings import QualitySettings
from serving.recipes.judging import GRADE, VERDICT, grade, question, quoted
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST
from serving.store.record_values import CallRecord, RequestRecord
from serving.store.records import RecordedAnswer, Records
from serving.telemetry import Observer, StreamOutcome
from serving.tenant import PRIORITIES
from serving.types import AgentStatus, AgentTrace, Completion, Delta, GenerateRequest, Sampling
from serving.usage import UNKNOWN_USAGE

QUALITY_KEY = "moa:quality"  # in place of a key's name: no key can have it
RECIPE, ROLE = "quality", "quality_judge"
BATCH_PRIORITY = 2 * PRIORITIES - 1  # the last one of the class `batch`
HOUR_S = 3600.0
CRITERIA = "Grade by these criteria: {criteria}\n\n"

logger = logging.getLogger("serving.quality")


@dataclass(frozen=True, slots=True)
class Sampled:
    """Answer that waits for the judge."""

    request: GenerateRequest
    answer: RecordedAnswer
    text: str


class QualitySampler:
    """Grades a share of the answers, one at a time. Never delays or fails an answer.

    Calls of the judge are recorded as the server's own: as the key `moa:quality`, in the role `quality_judge`.
    """

    def __init__(
        self,
        settings: QualitySettings,
        judge: Engine,
        records: Records | None = None,
        observer: Observer | None = None,
        price: tuple[float, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Grade answers by `judge`.

        Args:
            settings: the share and the limits.
            judge: the engine of the model `settings.judge`.
            records: gets the grades, and a record of each call of the judge; None: they are counted in metrics alone.
            observer: gets the grades for the metrics.
            price: of the judge: dollars per million prompt tokens and per million completion tokens; None: unknown.
            clock: seconds, for the limit of an hour.
        """
        self.settings, self._judge, self._records = settings, judge, records
        self._observer, self._price, self._clock = observer or Observer(), price, clock
        self._waiting: deque[Sampled] = deque()
        self._arrived = asyncio.Event()
        self._graded_at: deque[float] = deque()  # of the last hour
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Number of answers that wait for the judge."""
        return len(self._waiting)

    def wants(self, answer_id: str) -> bool:
        """True if the answer is of the sample: decided by a digest of its id, so that all replicas agree."""
        digest = hashlib.blake2b(answer_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.settings.sample * 2**64

    def add(self, request: GenerateRequest, answer: RecordedAnswer, text: str) -> None:
        """Have an answer graded soon; it is left out if too many wait, or were graded in this hour."""
        if len(self._waiting) >= self.settings.max_pending:
            self._observer.answer_not_graded("full")
        elif not self._allowed():
            self._observer.answer_not_graded("limit")
        else:
            self._waiting.append(Sampled(request, answer, text))
            self._arrived.set()

    def start(self) -> None:
        """Begin to grade."""
        self._task = asyncio.create_task(self._grade_all(), name="quality")

    async def close(self) -> None:
        """End the grading; answers that wait are left out."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _allowed(self) -> bool:
        now = self._clock()
        while self._graded_at and self._graded_at[0] <= now - HOUR_S:
            self._graded_at.popleft()
        if len(self._graded_at) >= self.settings.max_per_hour:
            return False
        self._graded_at.append(now)
        return True

    async def _grade_all(self) -> None:
        while True:
            while self._waiting:
                try:
                    await self._grade(self._waiting.popleft())
                except MoaError as error:
                    self._observer.answer_not_graded("failed")
                    logger.warning("An answer was not graded: %s", error)
                except Exception as defect:  # it must not end the grading
                    self._observer.answer_not_graded("failed")
                    log_exception(logger, defect, "an answer was not graded")
            self._arrived.clear()
            await self._arrived.wait()

    async def _grade(self, sampled: Sampled) -> None:
        """Ask the judge, and record its call and its grade. Raises `MoaError` if the judge fails."""
        request = self.judging_request(sampled)
        outcome = StreamOutcome()
        try:
            with outcome:
                completion = await self._asked(request)
                outcome.add(Delta(completion.text, usage=completion.usage))
        finally:
            self._record(request, outcome)
        if (score := grade(completion.text)) is None:
            self._observer.answer_not_graded("abstained")
            return
        answer = sampled.answer
        self._observer.answer_graded(answer.model, answer.proposers, score)
        if self._records is not None:
            self._records.grade(answer, self.settings.judge, score)

    async def _asked(self, request: GenerateRequest) -> Completion:
        judge, limit_s = self.settings.judge, self.settings.deadline_s
        try:
            async with asyncio.timeout(limit_s):
                with engine_failures(judge):
                    return await complete(judge, self._judge, request)
        except TimeoutError:
            raise DeadlineExceeded(f"'{judge}'", limit_s) from None

    def judging_request(self, sampled: Sampled) -> GenerateRequest:
        """The judge's request: the conversation and the answer, quoted, and the question for a grade."""
        criteria = CRITERIA.format(criteria=self.settings.criteria.strip()) if self.settings.criteria.strip() else ""
        instruction = criteria + GRADE.format(answer=quoted(sampled.text))
        info = self._judge.info
        request = GenerateRequest(
            uuid.uuid4().hex,
            question(sampled.request.messages, instruction),
            Sampling(temperature=VERDICT["temperature"], max_tokens=int(VERDICT["max_tokens"])),
            thinking=Thinking(enabled=False) if info.thinking else Thinking(),
            priority=BATCH_PRIORITY * PRIORITIES_PER_REQUEST,
            deadline_s=self.settings.deadline_s,
            stream_interval=None,
            tenant=sampled.request.tenant,  # the prompt has the caller's texts: its cache is the tenant's
        )
        return readable(request, info)

    def _record(self, request: GenerateRequest, outcome: StreamOutcome) -> None:
        judge, usage = self.settings.judge, outcome.usage or UNKNOWN_USAGE
        usd = usage.usd(self._price)
        call = CallRecord(judge, ROLE, 1, 0, outcome.code, usage, usd, self._price is not None, outcome.total_s)
        record = RequestRecord(
            id=request.request_id,
            at=time.time(),
            request_id=request.request_id,
            answer_id=f"grade-{request.request_id}",
            key=QUALITY_KEY,
            tenant="",
            path=RECIPE,
            model=judge,
            recipe=RECIPE,
            priority_class="batch",
            priority=BATCH_PRIORITY,
            streamed=False,
            prompts=1,
            calls=[call],
            ttft_s=None,
            total_s=outcome.total_s,
            outcome=outcome.code,
        )
        status: AgentStatus = "ok" if outcome.code == "ok" else "failed"
        trace = AgentTrace(1, 0, ROLE, judge, status, usage=usage, elapsed_s=outcome.total_s)
        self._observer.agent_ended(RECIPE, trace)
        self._observer.key_used(QUALITY_KEY, record.usage)
        if self._records is not None:
            self._records.add(record)
