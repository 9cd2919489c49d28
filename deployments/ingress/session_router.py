"""Request router of Ray Serve that keeps a conversation on one replica, which has its prompts cached.

A session's replica is chosen by rendezvous hashing (Thaler and Ravishankar 1998): the replica whose hash with the
session's key is the highest. So all orchestrators agree without a word, and a replica that comes or goes moves its own
sessions only. A request whose session's replica is overloaded or cannot be reached, and a request without a session,
goes to the less loaded of two random replicas, as without this router.

Serve copies this module into every process that holds a handle, so it imports nothing of this project.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica
from ray.util.metrics import Counter


def own_replica(session: str, replicas: Sequence[str]) -> str:
    """The one of `replicas`, given by id, that a session belongs to."""
    return max(replicas, key=lambda name: hashlib.blake2b(f"{session} {name}".encode(), digest_size=8).digest())


def overloaded(ongoing: int, mean: float, factor: float, requests: int) -> bool:
    """True if `ongoing` requests are more than `factor` times the `mean`, and more than `requests` above it."""
    return ongoing > max(factor * mean, mean + requests)


class SessionRouter(PowerOfTwoChoicesRequestRouter):
    """Sends a session's requests to its own replica while the load stays within bounds."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Set the bounds. Serve calls it with `request_router_kwargs`: `imbalance_factor`, `imbalance_requests`."""
        self._factor: float = kwargs["imbalance_factor"]
        self._requests: int = kwargs["imbalance_requests"]
        self._counter = Counter(
            "moa_session_requests", "Requests with a session by the replica they went to.", ("model", "replica")
        )

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The session's own replica first, unless it is overloaded; then two random ones."""
        others: list[list[RunningReplica]] = await super().choose_replicas(candidate_replicas, pending_request)
        own = None if pending_request is None else self._own(pending_request.metadata.session_id)
        if own is None or self._overloaded(own):
            return others
        return [[own], *others]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Count a request with a session by where it went, if there was a choice."""
        own = self._own(pending_request.metadata.session_id)
        if own is not None:
            replica = "own" if own.replica_id == replica_id else "other"
            self._counter.inc(1, {"model": self._deployment_id.name.removeprefix("model:"), "replica": replica})

    def _fulfill_next_pending_request(self, replica: RunningReplica, request_metadata: Any = None) -> None:
        """Give `replica` to the request it was chosen for if it is its session's; else to the oldest one, as usual.

        Requests are distinguished by their metadata object: calls of one HTTP request share their internal id.
        """
        own = None if request_metadata is None else self._own(request_metadata.session_id)
        if own is not None and own.replica_id == replica.replica_id:
            for waiting in self._pending_requests_to_fulfill:
                if waiting.metadata is request_metadata and not waiting.future.done():
                    self._cancel_routing_task_for_pending_request(waiting)
                    self._record_queue_wait_time(waiting)
                    waiting.future.set_result(replica)
                    self._remove_pending_request_from_indices(waiting)
                    return
        super()._fulfill_next_pending_request(replica, request_metadata)

    def _own(self, session: str) -> RunningReplica | None:
        """The replica of `session`; None without a session, and where there is no choice."""
        if not session or len(self._replicas) < 2:
            return None
        by_id = {replica_id.unique_id: replica_id for replica_id in self._replicas}
        return self._replicas[by_id[own_replica(session, tuple(by_id))]]

    def _overloaded(self, own: RunningReplica) -> bool:
        """True if `own` exceeds the bounds, by the last known numbers of ongoing requests; unknown ones count as 0."""
        known = self.replica_queue_len_cache
        ongoing = {replica_id: known.get(replica_id) or 0 for replica_id in self._replicas}
        mean = sum(ongoing.values()) / len(ongoing)
        return overloaded(ongoing[own.replica_id], mean, self._factor, self._requests)
