"""Packing of replicas on nodes of four GPUs and 100 GiB of memory, by hand."""

from collections import Counter
from collections.abc import Sequence

import pytest

from deployments.plan import packing
from deployments.plan.packing import Replica, fits
from deployments.plan.prices import Instance

NODE = Instance(vcpus=48, memory_gib=100, gpu="G", gpus=4, gpu_memory_mib=100_000, bandwidth_gb_s=1000, tflops=1000)


def replica(model: str, gpus: int = 1, share: float = 1.0, memory_gib: float = 10) -> Replica:
    return Replica(model, gpus, share, memory_gib)


def pack(replicas: Sequence[Replica], instance: Instance) -> dict[str, float]:
    """Pack replicas that are listed one by one."""
    return packing.pack(Counter(replicas).items(), instance)


def test_one_model_fills_nodes() -> None:
    assert pack([replica("a", gpus=2)] * 3, NODE) == {"a": 2}
    assert pack([replica("a", gpus=3)] * 3, NODE) == {"a": 3}
    assert pack([], NODE) == {}


def test_a_node_is_divided_by_the_gpus_that_its_models_use() -> None:
    assert pack([replica("a"), replica("b"), replica("c", gpus=2)], NODE) == {"a": 0.25, "b": 0.25, "c": 0.5}
    assert pack([replica("a"), replica("b", gpus=2)], NODE) == {"a": pytest.approx(1 / 3), "b": pytest.approx(2 / 3)}


def test_the_largest_are_placed_first() -> None:
    """One and three GPUs on one node, two and two on the other; in the order given it would take three."""
    given = [replica("a"), replica("b", gpus=2), replica("b", gpus=2), replica("c", gpus=3)]
    assert sum(pack(given, NODE).values()) == pytest.approx(2)


def test_parts_share_a_gpu() -> None:
    one_gpu = NODE.model_copy(update={"gpus": 1})
    parts = [replica("a", share=0.45), replica("b", share=0.34), replica("c", share=0.21)]
    found = pack(parts, one_gpu)
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx({"a": 0.45, "b": 0.34, "c": 0.21})
    assert sum(pack([*parts, replica("d", share=0.1)], one_gpu).values()) == pytest.approx(2)


def test_a_whole_gpu_is_not_made_of_parts() -> None:
    halves = [replica("a", share=0.6)] * 4
    assert sum(pack([*halves, replica("b")], NODE).values()) == pytest.approx(2)


def test_memory_limits_a_node_too() -> None:
    assert pack([replica("a", memory_gib=40)] * 4, NODE) == {"a": 2}
    assert not fits(replica("a", memory_gib=101), NODE)
    assert not fits(replica("a", gpus=5), NODE)
    assert fits(replica("a", gpus=4, memory_gib=100), NODE)


def test_millions_of_replicas_are_packed_as_a_few_are() -> None:
    """Equal nodes are filled once: five nodes with three of "a" and one of "b" each, then "b" alone."""
    million = 1_000_000
    given = [(replica("a", gpus=3), 5 * million), (replica("b"), 7 * million)]
    assert packing.pack(given, NODE) == pytest.approx({"a": 3.75 * million, "b": 1.75 * million})


def test_nodes_that_are_not_all_filled() -> None:
    """Three nodes have one of "a" each; two of "b" go to the first, one to the second, the third is kept."""
    given = [(replica("a", gpus=3), 3), (replica("b", share=0.5), 3)]
    assert packing.pack(given, NODE) == pytest.approx({"a": 3 / 4 + 3 / 3.5 + 1, "b": 1 / 4 + 0.5 / 3.5})


def test_no_replicas_need_no_nodes() -> None:
    assert packing.pack([(replica("a"), 0)], NODE) == {}
