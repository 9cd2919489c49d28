"""Fair order of one engine's calls: at equal priority, tenants share the engine equally, whatever each of them asks.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): a call's tag is the work of its tenant's calls before it, but not
less than the work that others had got when it arrived. Lower tags run earlier. A tenant that asks much waits behind its
own calls; one that asks little comes next. The tag is the low part of the call's priority in the engine. Only calls
that got a place are work: a call that is cancelled while it waits costs its tenant nothing.

An engine does not interrupt a call that runs. So it gets no more calls than it computes at once, and while several
tenants use it, an eighth less: the rest is for tenants that hold next to nothing. One tenant alone has all, and a
quarter more waits in the engine, so that no sequence stays empty. If all callers are one tenant, nothing waits here.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

PRIORITIES_PER_REQUEST = 64  # engine priorities between two requests whose `priority` differs by one: its layers
MAX_PRIORITY = 2**21
TAGS = 2**40  # tags of one priority, in tokens: with the priority above them, a rank has less than 63 bits
RESERVED_PART = 8  # one of so many sequences
WAITING_PART = 4
RECENT_S = 60.0  # a tenant counts as a user of the engine for so long after its last call
PROMPT_TOKEN = 1 / 8  # work of a prompt's token: many are computed in one step, an answer's one by one
EXPECTED_TOKENS = 64.0  # of an answer, before the tenant's first has ended
NEWEST_SHARE = 0.05  # weight of the last answer in the mean that the next one is expected to have


@dataclass
class _Level:
    """Calls of one priority. Their layers differ: later ones run earlier, and count as work of the same tenant."""

    now: float = 0.0  # highest tag of the calls that have ended
    given: dict[str, float] = field(default_factory=dict)  # work of each tenant's calls that got a place
    tags: dict[str, float] = field(default_factory=dict)  # of each tenant's last such call: its own keep their order
    expected: dict[str, float] = field(default_factory=dict)  # tokens of each tenant's answers, about
    calls: int = 0


class FairQueue:
    """Order of the calls of one engine.

    Attributes:
        sequences: number that the engine computes at once.
        held: sequences in the engine by tenant; calls without a tenant are not counted.
    """

    def __init__(self, sequences: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Order the calls of an engine that computes `sequences` at once. `clock`: seconds."""
        self.sequences = sequences
        self.held: Counter[str] = Counter()
        self._clock = clock
        self._levels: dict[int, _Level] = {}
        self._waiting: dict[str, list[tuple[int, int, Turn]]] = {}  # by tenant: heaps of priority, number and turn
        self._used_at: dict[str, float] = {}
        self._arrived = 0

    def turn(self, tenant: str, priority: int, *, sequences: int = 1, prompt_tokens: int = 0) -> "Turn":
        """The turn of a new call.

        Args:
            tenant: id of the tenant; "" for calls of the server itself, and if all callers are one tenant.
            priority: of the call; lower runs earlier, and comes before any tag.
            sequences: number that the call computes at once.
            prompt_tokens: length of each one's prompt.
        """
        priority = max(-MAX_PRIORITY, min(priority, MAX_PRIORITY - 1))
        number = -(-priority // PRIORITIES_PER_REQUEST)  # layers count down from it
        level = self._levels.setdefault(number, _Level())
        level.calls += 1
        prompt_work = prompt_tokens * PROMPT_TOKEN
        expected_work = prompt_work + level.expected.get(tenant, EXPECTED_TOKENS) * sequences
        self._arrived += 1
        return Turn(self, tenant, number, priority, self._arrived, sequences, level.now, prompt_work, expected_work)

    def tag(self, turn: "Turn") -> float:
        """Tag of a call that would get its place now, in tokens."""
        if not turn.tenant:
            return 0.0
        level = self._levels[turn.level]
        return max(turn.floor, level.given.get(turn.tenant, 0.0), level.tags.get(turn.tenant, 0.0))

    def room(self) -> tuple[int, int]:
        """Number of sequences that all tenants may hold, and of those kept for tenants that hold no more than that."""
        now = self._clock()
        self._used_at = {tenant: at for tenant, at in self._used_at.items() if now - at <= RECENT_S}
        if len({*self._used_at, *self.held}) < 2:
            return self.sequences + max(1, self.sequences // WAITING_PART), 0
        reserved = self.sequences // RESERVED_PART
        return self.sequences - reserved, reserved

    def line_up(self, turn: "Turn") -> None:
        """Let `turn` wait for its place in the engine, which it may have at once."""
        if not turn.tenant:
            turn.ready.set_result(None)
            return
        self._used_at[turn.tenant] = self._clock()
        heapq.heappush(self._waiting.setdefault(turn.tenant, []), (turn.priority, turn.number, turn))
        self._admit()

    def leave(self, turn: "Turn", tokens: int | None) -> None:
        """End `turn`, whose call made so many `tokens`; None: unknown."""
        level = self._levels[turn.level]
        level.calls -= 1
        if turn.admitted and turn.tenant:
            level.now = max(level.now, turn.tag)
            if tokens is not None:
                level.given[turn.tenant] += turn.prompt_work + tokens - turn.expected_work
                own = tokens / turn.sequences
                former = level.expected.get(turn.tenant, own)
                level.expected[turn.tenant] = former + NEWEST_SHARE * (own - former)
        if not level.calls:  # nobody waits for anybody
            del self._levels[turn.level]
        if turn.tenant:
            if turn.admitted:
                self._used_at[turn.tenant] = self._clock()
                self.held[turn.tenant] -= turn.sequences
                if not self.held[turn.tenant]:
                    del self.held[turn.tenant]
            self._admit()

    def _admit(self) -> None:
        """Give places to calls that wait: by rank, and the reserved ones to the first of each tenant that has few."""
        while self._waiting:
            room, reserved = self.room()
            held = self.held.total()
            firsts = [first for tenant in [*self._waiting] if (first := self._first(tenant)) is not None]
            for place, turn in enumerate(sorted(firsts, key=lambda first: (first.rank, first.number))):
                # A call of more sequences than there is room begins when the engine is empty.
                fits = place == 0 and held + min(turn.sequences, room) <= room
                if fits or self.held[turn.tenant] + turn.sequences <= reserved:
                    self._begin(turn)
                    break
            else:
                return

    def _begin(self, turn: "Turn") -> None:
        """Give its place to its tenant's first call. From now on it is work, and its tag is fixed."""
        heapq.heappop(self._waiting[turn.tenant])
        self.held[turn.tenant] += turn.sequences
        level, turn.fixed = self._levels[turn.level], turn.tag
        level.tags[turn.tenant] = turn.fixed
        level.given[turn.tenant] = max(turn.floor, level.given.get(turn.tenant, 0.0)) + turn.expected_work
        turn.ready.set_result(None)

    def _first(self, tenant: str) -> "Turn | None":
        """The tenant's first call that still waits."""
        waiting = self._waiting[tenant]
        while waiting and waiting[0][-1].ready.done():  # cancelled
            heapq.heappop(waiting)
        if not waiting:
            del self._waiting[tenant]
            return None
        return waiting[0][-1]


@dataclass(eq=False)
class Turn:
    """One call's place in the order: `enter` before the engine is asked, `leave` in any case."""

    queue: FairQueue
    tenant: str
    level: int
    priority: int
    number: int  # of the queue's calls, in their order of arrival
    sequences: int
    floor: float  # lowest tag: the work that others had got at arrival, in tokens
    prompt_work: float
    expected_work: float
    fixed: float | None = None  # tag since the call has its place
    waited_s: float = 0.0
    ready: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def admitted(self) -> bool:
        """True if the call has its place."""
        return self.ready.done() and not self.ready.cancelled()

    @property
    def tag(self) -> float:
        """Tag of the call, in tokens; it may change until the call has its place."""
        return self.queue.tag(self) if self.fixed is None else self.fixed

    @property
    def rank(self) -> int:
        """Priority of the call in the engine, valid once it has its place."""
        return rank_of(self.priority, self.tag)

    async def enter(self) -> None:
        """Wait for a place in the engine."""
        self.queue.line_up(self)
        if not self.ready.done():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await self.ready
            self.waited_s = loop.time() - began

    def leave(self, tokens: int | None) -> None:
        """Give the place back; `tokens`: number that the call has made, None: unknown."""
        self.queue.leave(self, tokens)


def rank_of(priority: int, tag: float) -> int:
    """Priority for the engine of a call with this priority and tag. Ranks of two priorities never overlap."""
    return priority * TAGS + min(int(tag), TAGS - 1)
