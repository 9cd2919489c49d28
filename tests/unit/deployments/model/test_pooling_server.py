"""The replica that embeds or ranks: prompts written by real tokenizers, computed by a scripted engine."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from deployments.model.pooling_adapter import PoolingPrompt
from deployments.model.pooling_prompts import PoolingPrompts
from deployments.model.pooling_server import PoolingServer
from serving.errors import ConfigError, InputTooLong, InvalidRequest
from serving.pooling import EmbedRequest, PoolingTask, RerankRequest
from serving.tenant import ANYONE, Tenant
from tests.support.trio import TOKENIZERS
from tests.support.waiting import until

TOKENIZER = TOKENIZERS["qwen"] if "qwen" in TOKENIZERS else next(iter(TOKENIZERS.values()))


class CountingEngine:
    """In place of `PoolingAdapter`: the vector of a prompt counts the parities of its ids; a score is its length."""

    def __init__(self, task: PoolingTask, scores: int = 1) -> None:
        self.task, self.scores = task, scores
        self.asked: list[tuple[list[PoolingPrompt], int | None, int]] = []
        self.tenants: list[Tenant] = []

    def own_dimensions(self, dimensions: int | None) -> int | None:
        return dimensions

    async def pool(
        self,
        request_id: str,
        prompts: Sequence[PoolingPrompt],
        *,
        dimensions: int | None = None,
        priority: int = 0,
        tenant: Tenant = ANYONE,
    ) -> list[Any]:
        self.asked.append(([*prompts], dimensions, priority))
        self.tenants.append(tenant)
        if self.task == "rerank":
            return [torch.tensor([float(len(one.token_ids))] * self.scores) for one in prompts]
        odd = [sum(token % 2 for token in one.token_ids) for one in prompts]
        return [
            torch.tensor([float(count), float(len(one.token_ids) - count)])
            for one, count in zip(prompts, odd, strict=True)
        ]


def pair(query: str, document: str, encode_kwargs: dict[str, Any], template: str | None) -> tuple[str, Any]:
    """As vLLM's, for a model with two segments."""
    first, second = TOKENIZER.encode(query), TOKENIZER.encode(document)
    ids, types = first + second, [0] * len(first) + [1] * len(second)
    cut = encode_kwargs.get("max_length")
    return "", {"prompt_token_ids": ids[:cut], "token_type_ids": types[:cut] if template is None else None}


class Replica(PoolingServer):
    """A replica on a scripted engine."""

    def __init__(self, task: PoolingTask, *, scores: int = 1, **options: Any) -> None:
        self._model, self._task = "m", task
        self._engine = CountingEngine(task, scores)  # type: ignore[assignment]
        self._prompts = PoolingPrompts("m", TOKENIZER, 12, 1632, score_prompt=pair, **options)

    def __del__(self) -> None:  # type: ignore[override]  # Ray's is a coroutine, which nobody would await
        return


def prompts(replica: Replica) -> list[tuple[int, ...]]:
    return [one.token_ids for one in replica._engine.asked[-1][0]]  # type: ignore[attr-defined]


async def test_texts_and_token_ids_become_prompts_in_their_order() -> None:
    replica = Replica("embed")
    vectors = await replica.embed(EmbedRequest("r", ("one", (7, 8, 9), "two"), dimensions=2, priority=4))
    ids = [tuple(TOKENIZER.encode("one")), (7, 8, 9), tuple(TOKENIZER.encode("two"))]
    assert prompts(replica) == ids
    assert vectors.prompt_tokens == sum(map(len, ids))
    assert struct.unpack("<2f", vectors.data[1]) == (2, 1)
    assert replica._engine.asked[-1][1:] == (2, 4)  # type: ignore[attr-defined]


async def test_too_long_an_input_is_an_error_or_cut() -> None:
    replica = Replica("embed")
    long = "a long text with many words"
    with pytest.raises(InputTooLong) as caught:
        await replica.embed(EmbedRequest("r", ("a", long)))
    tokens = len(TOKENIZER.encode(long))
    assert (caught.value.param, caught.value.tokens, caught.value.context_tokens) == ("input[1]", tokens, 12)
    with pytest.raises(InputTooLong, match="Shorten 'input':"):
        await replica.embed(EmbedRequest("r", ((1,) * 13,)))
    await replica.embed(EmbedRequest("r", (long, (1,) * 13), truncate_tokens=-1))
    assert [len(one) for one in prompts(replica)] == [12, 12]
    await replica.embed(EmbedRequest("r", (long, (1,) * 13), truncate_tokens=3))
    assert prompts(replica) == [tuple(TOKENIZER.encode(long)[:3]), (1, 1, 1)]
    await replica.embed(EmbedRequest("r", ("a",)))
    assert prompts(replica) == [tuple(TOKENIZER.encode("a"))], "no cut is left behind"


async def test_ids_are_the_models() -> None:
    replica = Replica("embed")
    with pytest.raises(InvalidRequest, match=r"'input\[1\]' to token ids below 1632, .* not 1632") as caught:
        await replica.embed(EmbedRequest("r", ("a", (1, 1632))))
    assert caught.value.param == "input[1]"


async def test_a_model_of_lower_case_reads_lower_case() -> None:
    replica = Replica("embed", lower_case=True)
    await replica.embed(EmbedRequest("r", ("ONE",)))
    assert prompts(replica) == [tuple(TOKENIZER.encode("one"))]


async def test_vectors_rank_by_their_cosine_and_each_text_is_computed_once() -> None:
    replica = Replica("embed")
    scores = await replica.rerank(RerankRequest("r", "one", ("two", "one"), document_tokens=2, priority=1))
    ids = [TOKENIZER.encode("one"), TOKENIZER.encode("two")[:2], TOKENIZER.encode("one")[:2]]
    assert prompts(replica) == [tuple(one) for one in ids]
    assert scores.prompt_tokens == sum(map(len, ids))
    query = [sum(token % 2 for token in ids[0]), sum(1 - token % 2 for token in ids[0])]
    given = [sum(token % 2 for token in ids[1]), sum(1 - token % 2 for token in ids[1])]
    dot = query[0] * given[0] + query[1] * given[1]
    assert scores.values[0] == pytest.approx(
        dot / ((query[0] ** 2 + query[1] ** 2) * (given[0] ** 2 + given[1] ** 2)) ** 0.5
    )
    with pytest.raises(InputTooLong, match="Shorten 'query'"):
        await replica.rerank(RerankRequest("r", "a long text with many words", ("two",)))


async def test_all_prompts_of_a_request_are_its_tenants() -> None:
    tenant = Tenant("a", isolated=True)
    for task in ("embed", "rerank"):
        replica = Replica(task)  # type: ignore[arg-type]
        if task == "embed":
            await replica.embed(EmbedRequest("r", ("one",), tenant=tenant))
        await replica.rerank(RerankRequest("r", "one", ("two",), tenant=tenant))
        assert {*replica._engine.tenants} == {tenant}  # type: ignore[attr-defined]


async def test_a_cross_encoder_reads_pairs() -> None:
    replica = Replica("rerank")
    scores = await replica.rerank(RerankRequest("r", "one", ("two", "a")))
    lengths = [len(TOKENIZER.encode("one")) + len(TOKENIZER.encode(text)) for text in ("two", "a")]
    assert scores.values == tuple(lengths)
    assert scores.prompt_tokens == sum(lengths)
    asked = replica._engine.asked[-1][0]  # type: ignore[attr-defined]
    assert {one.first_segment for one in asked} == {len(TOKENIZER.encode("one"))}
    with pytest.raises(InputTooLong) as caught:
        await replica.rerank(RerankRequest("r", "one", ("a", "a long text with many words")))
    assert caught.value.param == "documents[1]"
    await replica.rerank(RerankRequest("r", "one", ("a long text with many words",), truncate_tokens=-1))
    assert [len(one) for one in prompts(replica)] == [12]
    written = Replica("rerank", score_template="{{ messages }}")
    await written.rerank(RerankRequest("r", "one", ("two",), document_tokens=1))
    [only] = written._engine.asked[-1][0]  # type: ignore[attr-defined]
    assert (len(only.token_ids), only.first_segment) == (len(TOKENIZER.encode("one")) + 1, None)


async def test_a_classifier_of_several_labels_does_not_rank() -> None:
    with pytest.raises(ConfigError, match="computes 2 scores for a pair"):
        await Replica("rerank", scores=2)._warm_up()


async def test_the_warm_up_runs_what_requests_run() -> None:
    replica = Replica("embed")
    await replica._warm_up()
    assert len(replica._engine.asked) == 2  # type: ignore[attr-defined]


LONG = "the capital of france is paris " * 60_000


@pytest.mark.parametrize("task", ["embed", "rerank"])
async def test_a_text_that_is_far_too_long_is_hardly_read(task: PoolingTask) -> None:
    replica = Replica(task)
    read = counted(replica)
    with pytest.raises(InputTooLong, match=r"Shorten 'documents\[1\]': it has at least \d+ tokens") as caught:
        await replica.rerank(RerankRequest("r", "q", ("a", LONG)))
    assert caught.value.param == "documents[1]"
    assert read[0] < 200_000
    if task == "embed":
        with pytest.raises(InputTooLong, match="Shorten 'input': it has at least"):
            await replica.embed(EmbedRequest("r", (LONG,)))


async def test_of_a_text_that_is_cut_only_the_beginning_is_read() -> None:
    replica = Replica("embed")
    read = counted(replica)
    await replica.embed(EmbedRequest("r", (LONG, "short"), truncate_tokens=10))
    assert prompts(replica) == [tuple(TOKENIZER.encode(LONG[:1000])[:10]), tuple(TOKENIZER.encode("short"))]
    assert read[0] < 20_000


async def test_work_for_nobody_ends() -> None:
    replica = Replica("embed")
    tasks = [asyncio.create_task(replica.embed(EmbedRequest("r", (f"{number}",) * 2))) for number in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: replica._prompts._worker.pending == 0)


def counted(replica: Replica) -> list[int]:
    """Number of characters that the replica's tokenizer reads from now on."""
    read = [0]
    encode = replica._prompts._texts._encode

    def counting(text: str) -> Sequence[int]:
        read[0] += len(text)
        return encode(text)

    replica._prompts._texts._encode = counting
    return read


async def test_many_texts_are_encoded_in_parts() -> None:
    replica = Replica("embed")
    calls: list[int] = []
    tokenizer = replica._prompts._tokenizer

    class Counting:
        truncation_side = "left"

        def __call__(self, texts: list[str], **options: Any) -> Any:
            calls.append(len(texts))
            return tokenizer(texts, **options)

    replica._prompts._tokenizer = Counting()
    texts = [f"{number} " * 2000 for number in range(40)]
    await replica.embed(EmbedRequest("r", tuple(texts), truncate_tokens=5))
    assert sum(calls) == 40
    assert 2 < len(calls) < 40
    assert prompts(replica) == [tuple(tokenizer.encode(text)[:5]) for text in texts]
