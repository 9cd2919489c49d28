"""Packing of replicas on nodes: several on one node, or on one GPU if their models use parts of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from deployments.plan.prices import Instance

SLACK = 1e-6  # parts of a GPU such as 0.45, 0.34 and 0.21 add up to one


@dataclass(frozen=True, slots=True)
class Replica:
    """GPUs and memory of a node that one replica of a model needs."""

    model: str
    gpus: int
    gpu_share: float  # of each of its GPUs
    memory_gib: float  # of the node, not of its GPUs

    @property
    def whole_gpus(self) -> float:
        """GPUs that it uses, parts added up."""
        return self.gpus * self.gpu_share


@dataclass(slots=True)
class _Node:
    free: list[float]  # part of each GPU
    memory_gib: float
    used: dict[str, float] = field(default_factory=dict)  # GPUs by model

    def add(self, replica: Replica) -> bool:
        """Place the replica on the fullest GPUs that have room; False if they are too few."""
        fitting = [place for place, free in enumerate(self.free) if free + SLACK >= replica.gpu_share]
        if len(fitting) < replica.gpus or self.memory_gib + SLACK < replica.memory_gib:
            return False
        for place in sorted(fitting, key=lambda place: self.free[place])[: replica.gpus]:
            self.free[place] -= replica.gpu_share
        self.memory_gib -= replica.memory_gib
        self.used[replica.model] = self.used.get(replica.model, 0.0) + replica.whole_gpus
        return True


def fits(replica: Replica, instance: Instance) -> bool:
    """True if an empty node has enough GPUs and memory for the replica; the size of its GPUs is not compared."""
    return instance.gpus >= replica.gpus and instance.memory_gib + SLACK >= replica.memory_gib


def pack(replicas: Iterable[Replica], instance: Instance) -> dict[str, float]:
    """Pack replicas on nodes of one instance type, the largest first, each on the first node with room.

    Args:
        replicas: the replicas, each of which fits an empty node.
        instance: the instance type.

    Returns:
        Nodes of each model. A node is divided among its models by the GPUs that they use, so that the sum is the
        number of nodes.
    """
    nodes: list[_Node] = []
    for replica in sorted(replicas, key=lambda one: (-one.whole_gpus, -one.gpus)):
        if not any(node.add(replica) for node in nodes):
            nodes.append(_Node([1.0] * instance.gpus, instance.memory_gib))
            nodes[-1].add(replica)
    found: dict[str, float] = {}
    for node in nodes:
        total = sum(node.used.values())
        for model, used in node.used.items():
            found[model] = found.get(model, 0.0) + used / total
    return found
