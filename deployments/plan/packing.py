"""Packing of replicas on nodes: several on one node, or on one GPU if their models use parts of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

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
    count: int = 1  # nodes that are filled in this way

    def with_replicas(self, replica: Replica, most: int) -> tuple["_Node", int]:
        """Return one such node with up to `most` further replicas, and their number."""
        node = replace(self, free=[*self.free], used={**self.used}, count=1)
        added = 0
        while added < most and node.add(replica):
            added += 1
        return node, added

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


def pack(replicas: Iterable[tuple[Replica, int]], instance: Instance) -> dict[str, float]:
    """Pack replicas on nodes of one instance type, the largest first, each on the first node with room.

    Args:
        replicas: the replicas, each of which fits an empty node, and how many there are of each.
        instance: the instance type.

    Returns:
        Nodes of each model. A node is divided among its models by the GPUs that they use, so that the sum is the
        number of nodes.
    """
    nodes: list[_Node] = []
    for replica, number in sorted(replicas, key=lambda one: (-one[0].whole_gpus, -one[0].gpus)):
        empty = _Node([1.0] * instance.gpus, instance.memory_gib, count=number)
        nodes = list(_filled([*nodes, empty], replica, number))
    found: dict[str, float] = {}
    for node in nodes:
        total = sum(node.used.values())
        for model, used in node.used.items():
            found[model] = found.get(model, 0.0) + node.count * used / total
    return found


def _filled(nodes: Iterable[_Node], replica: Replica, number: int) -> Iterator[_Node]:
    """Nodes after `number` equal replicas are placed; nodes that stay empty are left out."""
    for node in nodes:
        full, each = node.with_replicas(replica, number)
        whole = min(node.count, number // each) if each else 0
        rest = node.count - whole
        number -= whole * each
        if whole:
            yield replace(full, count=whole)
        if rest and number and each:
            last, added = node.with_replicas(replica, number)
            number, rest = number - added, rest - 1
            yield last
        if rest and node.used:
            yield replace(node, count=rest)
