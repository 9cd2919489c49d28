"""Serve's router with sessions, over replicas that only say how many requests they have."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID, RequestMetadata
from ray.serve.config import RequestRouterConfig
from ray.serve.request_router import PendingRequest

from deployments.ingress.session_router import SessionRouter, overloaded, own_replica

DEPLOYMENT = DeploymentID("model:m", "app")
NAMES = st.lists(st.text(min_size=1), min_size=2, max_size=8, unique=True)


class Replica:
    """A running replica; `gone`: it does not answer."""

    def __init__(self, name: str, ongoing: int = 0) -> None:
        self.replica_id = ReplicaID(name, DEPLOYMENT)
        self.name, self.ongoing, self.gone = name, ongoing, False
        self.max_ongoing_requests = 100
        self.node_id, self.availability_zone, self.multiplexed_model_ids = "n", None, ()
        self.probed = asyncio.Event()
        self.probed.set()

    async def get_queue_len(self, *, deadline_s: float) -> int:
        await self.probed.wait()
        if self.gone:
            raise ActorDiedError
        return self.ongoing


class Router(SessionRouter):
    queue_len_response_deadline_s = max_queue_len_response_deadline_s = 60.0  # a slow machine is no slow replica

    def __init__(self, replicas: Sequence[Replica]) -> None:
        super().__init__(
            deployment_id=DEPLOYMENT, handle_source=DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
        )
        self.initialize_state(imbalance_factor=1.5, imbalance_requests=8)
        self.counted: Counter[str] = Counter()
        self._counter.inc = lambda value, tags: self.counted.update([tags["replica"]])  # type: ignore[method-assign]
        self.update_replicas(replicas)
        for replica in replicas:
            self.on_new_queue_len_info(replica.replica_id, replica.ongoing)

    async def route(self, session: str) -> str:
        """Name of the replica that a request of `session` goes to."""
        # All calls of one HTTP request have one internal id.
        request = PendingRequest([], {}, RequestMetadata("r", "one", call_method="generate", session_id=session))
        replica = await asyncio.wait_for(self._choose_replica_for_request(request), 60)
        self.on_request_routed(request, replica.replica_id, None)
        return replica.name


def replicas(*ongoing: int) -> list[Replica]:
    return [Replica(f"replica-{number}", count) for number, count in enumerate(ongoing)]


def owners(of: Sequence[Replica], sessions: int = 100) -> dict[str, str]:
    names = [replica.name for replica in of]
    return {f"s{number}": own_replica(f"s{number}", names) for number in range(sessions)}


@given(st.text(), NAMES, st.randoms(use_true_random=False))
def test_every_orchestrator_chooses_the_same_replica(session: str, names: list[str], random: Any) -> None:
    shuffled = random.sample(names, len(names))
    assert own_replica(session, names) == own_replica(session, shuffled)


@given(st.text(), NAMES)
def test_a_replica_that_goes_moves_its_own_sessions_only(session: str, names: list[str]) -> None:
    own = own_replica(session, names)
    for name in names[1:]:
        left = [other for other in names if other != name]
        assert (own_replica(session, left) == own) == (name != own)


def test_sessions_spread_over_the_replicas() -> None:
    counts = Counter(owners(replicas(0, 0, 0, 0), 1000).values())
    assert min(counts.values()) > 150
    assert len(counts) == 4


@pytest.mark.parametrize(
    ("ongoing", "mean", "expected"),
    [(8, 0, False), (9, 0, True), (12, 4, False), (13, 4, True), (60, 40, False), (61, 40, True)],
)
def test_the_bounds_are_a_number_for_light_load_and_a_factor_for_heavy_load(
    ongoing: int, mean: float, expected: bool
) -> None:
    assert overloaded(ongoing, mean, 1.5, 8) is expected


async def test_a_session_stays_on_its_replica() -> None:
    router = Router(there := replicas(3, 0, 5))
    for session, own in owners(there).items():
        assert {await router.route(session) for _ in range(3)} == {own}
    assert router.counted == {"own": 300}


async def test_without_a_session_the_less_loaded_replica_is_chosen() -> None:
    router = Router(replicas(5, 0))
    assert [await router.route("") for _ in range(10)] == ["replica-1"] * 10
    assert not router.counted


async def test_an_overloaded_replica_gives_its_sessions_away() -> None:
    router = Router(there := replicas(20, 0))
    for session, own in owners(there, 20).items():
        assert own in ("replica-0", "replica-1")
        assert await router.route(session) == "replica-1"
    assert router.counted == Counter("own" if own == "replica-1" else "other" for own in owners(there, 20).values())


async def test_a_full_replica_gives_its_sessions_away() -> None:
    there = replicas(99, 98)
    there[0].max_ongoing_requests = 99
    router = Router(there)
    assert {await router.route(session) for session in owners(there, 20)} == {"replica-1"}


async def test_a_lost_replica_is_no_error() -> None:
    there = replicas(0, 0, 0)
    router = Router(there)
    lost = [session for session, own in owners(there).items() if own == "replica-1"]
    there[1].gone = True
    router.on_replica_actor_unavailable(there[1].replica_id)
    assert await router.route(lost[0]) != "replica-1"
    left = owners([there[0], there[2]])
    assert [await router.route(session) for session in lost] == [left[session] for session in lost]


async def test_one_replica_needs_no_choice() -> None:
    router = Router(replicas(50))
    assert await router.route("s") == "replica-0"
    assert not router.counted


async def test_requests_that_wait_together_get_their_own_replicas() -> None:
    """While replicas are asked for their load, requests overtake each other; none may take another one's replica."""
    there = replicas(0, 0, 0, 0)
    router = Router(there)
    for number, replica in enumerate(there):
        router.on_replica_actor_unavailable(replica.replica_id)
        if number % 2:
            replica.probed.clear()
    expected = owners(there, 16)
    routes = [asyncio.create_task(router.route(session)) for session in expected]
    for _ in range(20):
        await asyncio.sleep(0)
    for replica in there:
        replica.probed.set()
    assert await asyncio.gather(*routes) == [*expected.values()]


async def test_waiting_requests_are_served_when_a_full_replica_has_room() -> None:
    there = replicas(100, 100)
    router = Router(there)
    routes = [asyncio.create_task(router.route(session)) for session in ("", "a", "b", "")]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(route.done() for route in routes)
    there[1].ongoing = 50
    assert set(await asyncio.gather(*routes)) == {"replica-1"}


def test_serve_can_copy_the_router_into_other_processes() -> None:
    path = f"{SessionRouter.__module__}.{SessionRouter.__name__}"
    config = RequestRouterConfig(request_router_class=path, request_router_kwargs={"imbalance_factor": 1.5})
    copied = config.get_request_router_class()
    assert copied.__name__ == "SessionRouter"
    assert b"deployments.config" not in cloudpickle.dumps(copied)
