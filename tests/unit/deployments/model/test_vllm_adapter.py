"""The adapter over a scripted `AsyncLLM`: parameters in, deltas, counts and errors out."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.exceptions import (
    GracefulHTTPError,
    MaxQueuedTokensError,
    QueueOverflowError,
    VLLMClientError,
    VLLMUnprocessableEntityError,
    VLLMValidationError,
)
from vllm.logprobs import Logprob
from vllm.lora.request import LoRARequest
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.core.kv_cache_utils import generate_block_hash_extra_keys
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.executor.uniproc_executor import UniProcExecutor
from vllm.v1.metrics.stats import RequestStateStats
from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

from deployments.model.echo import Echo
from deployments.model.lean_engine import LeanVLLMEngine, check_lora
from deployments.model.vllm_adapter import VllmAdapter
from deployments.model.vllm_outputs import finish_reason
from deployments.model.vllm_sampling import sampling_params
from serving.conversation import Message, Tool, ToolChoice
from serving.decoding import Decoding
from serving.engine import collect
from serving.errors import (
    ConfigError,
    EngineFailed,
    EngineUnavailable,
    IncompleteGeneration,
    InvalidRequest,
    MoaError,
    Overloaded,
)
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST, rank_of
from serving.tenant import PRIORITIES
from serving.trace_context import TraceContext
from serving.types import Delta, GenerateRequest, ResponseFormat, Sampling, Timing, TokenLogprob
from serving.usage import TokenUsage
from tests.support.clock import simulated_time
from tests.support.thinking_model import thinking_tokenizer

SECRET = "sk-123 in /home/operator"
PROMPT = (5, 6, 7)
Step = RequestOutput | Exception | Callable[[], Awaitable[Any]]


class ScriptedClient(AsyncLLM):
    """Gives each call the steps of a script: an output is given, an error raised, a function awaited."""

    errored = False  # a property of AsyncLLM

    def __init__(self, *steps: Step, defaults: dict[str, Any] | None = None, traces: str | None = None) -> None:
        self.observability_config = SimpleNamespace(otlp_traces_endpoint=traces)  # type: ignore[assignment]
        self.steps, self.calls, self.open = steps, [], 0  # type: ignore[var-annotated]
        self.model_config = SimpleNamespace(  # type: ignore[assignment]
            max_model_len=64, get_diff_sampling_param=lambda: defaults or {}, get_vocab_size=lambda: 10
        )
        self.vllm_config = SimpleNamespace(  # type: ignore[assignment]
            cache_config=SimpleNamespace(block_size=16),
            scheduler_config=SimpleNamespace(max_num_seqs=2),
            structured_outputs_config=SimpleNamespace(disable_any_whitespace=False),
        )
        self.renderer = SimpleNamespace(tokenizer="tokenizer")  # type: ignore[assignment]

    def shutdown(self, timeout: float | None = None) -> None: ...

    def get_num_unfinished_requests(self) -> int:
        return self.open

    async def generate(  # type: ignore[override]
        self, prompt: Any, sampling_params: Any, request_id: str, *, priority: int = 0, **extra: Any
    ) -> Any:
        self.extra, self.prompt = extra, prompt
        self.calls.append((prompt["prompt_token_ids"], sampling_params, request_id, priority))
        self.open += 1
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, RequestOutput):
                    yield step
                else:
                    await step()
        finally:
            self.open -= 1


def adapter(
    *steps: Step, defaults: dict[str, Any] | None = None, traces: str | None = None
) -> tuple[VllmAdapter, ScriptedClient]:
    client = ScriptedClient(*steps, defaults=defaults, traces=traces)
    return VllmAdapter("m", SimpleNamespace(_engine_client=client)), client  # type: ignore[arg-type]


def choice(text: str, *tokens: int, index: int = 0, end: str | None = None, **more: Any) -> CompletionOutput:
    ending = {"finish_reason": end, "stop_reason": more.get("stop_reason")}
    return CompletionOutput(index, text, tokens, None, more.get("logprobs"), **ending)


def output(*choices: CompletionOutput, metrics: RequestStateStats | None = None, cached: int = 2) -> RequestOutput:
    return RequestOutput("r", None, [*PROMPT], None, [*choices], False, metrics, num_cached_tokens=cached)


def stream(vllm: VllmAdapter, **more: Any) -> AsyncGenerator[Delta, None]:
    return vllm.generate("r", PROMPT, Sampling(max_tokens=9, **more))


async def deltas(vllm: VllmAdapter, **more: Any) -> list[Delta]:
    return [delta async for delta in stream(vllm, **more)]


ANSWER = (output(choice("4", 1)), output(choice("2", 2, end="stop")))


# Parameters


SET = {
    "temperature": 0.3,
    "top_p": 0.9,
    "top_k": 7,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "max_tokens": 12,
    "min_tokens": 2,
    "seed": 3,
    "n": 2,
    "presence_penalty": 0.4,
    "frequency_penalty": 0.6,
    "logprobs": 5,
    "ignore_eos": True,
}


def test_every_field_reaches_vllm() -> None:
    handled = {*SET, "stop", "response_format", "decoding"}
    assert handled == set(Sampling.__dataclass_fields__), "a new field needs a line in SET"
    params = sampling_params(Sampling(**SET, stop=("END",)), {}, stream_interval=4)  # type: ignore[arg-type]
    assert {name: getattr(params, name) for name in SET} == SET
    assert params.stop == ["END"]
    assert params.stream_interval == 4


def test_the_prompts_logprobs_are_asked_for_with_an_echo() -> None:
    asked = Sampling(max_tokens=5, logprobs=3)
    assert sampling_params(asked, {}, stream_interval=1).prompt_logprobs is None
    echoed = sampling_params(asked, {}, stream_interval=1, of_prompt=True)
    assert (echoed.prompt_logprobs, echoed.skip_reading_prefix_cache) == (3, True)
    assert sampling_params(Sampling(max_tokens=5), {}, stream_interval=1, of_prompt=True).prompt_logprobs is None


def scored(*choices: CompletionOutput) -> RequestOutput:
    positions = [None, {6: Logprob(-1.0, 1, "b")}, {7: Logprob(-2.0, 1, "c")}]
    return RequestOutput("r", None, [*PROMPT], positions, [*choices], False, None, num_cached_tokens=0)


def echo_of(text: str) -> Echo:
    return Echo("m", text, PROMPT, lambda token_id: "a")


@pytest.mark.parametrize("interval", [1, None])
async def test_an_echo_is_in_front_of_each_choice(interval: int | None) -> None:
    logprobs = [{1: Logprob(-0.5, 1, "4")}]
    ends = [choice("4", 1, index=index, end="stop", logprobs=logprobs) for index in (0, 1)]
    vllm, client = adapter(scored(ends[0]), scored(ends[1]))
    sampling = Sampling(max_tokens=9, n=2, logprobs=0)
    stream = vllm.generate("r", PROMPT, sampling, stream_interval=interval, echo=echo_of("abc"))
    done = await collect("m", stream)
    assert [one.text for one in done.choices] == ["abc4", "abc4"]
    assert [token.token for token in done.choices[1].logprobs] == ["a", "b", "c", "4"]
    assert done.usage == TokenUsage(3, 2, 0)
    assert client.calls[0][1].prompt_logprobs == 0


async def test_no_tokens_are_one_that_nobody_sees() -> None:
    logprobs = [{1: Logprob(-0.5, 1, "4")}]
    vllm, client = adapter(scored(choice("4", 1, end="stop", logprobs=logprobs)))
    stream = vllm.generate("r", PROMPT, Sampling(max_tokens=0, logprobs=0), echo=echo_of("abc"))
    done = await collect("m", stream)
    [only] = done.choices
    assert (only.text, only.finish_reason, len(only.logprobs)) == ("abc", "length", 3)
    assert (done.usage, vllm.stats().generated_tokens) == (TokenUsage(3, 0, 0), 0)
    assert client.calls[0][1].max_tokens == 1


async def test_a_scored_prompt_that_is_aborted_is_incomplete() -> None:
    vllm, _ = adapter(scored(choice("", end="abort")))
    with pytest.raises(IncompleteGeneration):
        await collect("m", vllm.generate("r", PROMPT, Sampling(max_tokens=0), echo=echo_of("abc")))


def test_a_field_without_a_value_gets_the_models_default() -> None:
    defaults = {"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05, "max_tokens": 99}
    params = sampling_params(Sampling(top_k=3, max_tokens=5), defaults, stream_interval=1)
    assert (params.temperature, params.top_k, params.repetition_penalty) == (0.7, 3, 1.05)
    assert (params.top_p, params.min_p) == (1.0, 0.0), "vLLM's own, where the model has none"
    assert params.max_tokens == 5


def test_zero_is_a_value_and_not_a_missing_one() -> None:
    params = sampling_params(Sampling(temperature=0, min_p=0.0, logprobs=0), {"temperature": 0.7}, stream_interval=1)
    assert (params.temperature, params.logprobs) == (0, 0)


async def test_defaults_are_those_of_the_models_generation_config() -> None:
    vllm, client = adapter(*ANSWER, defaults={"temperature": 0.7})
    await deltas(vllm)
    assert client.calls[0][1].temperature == 0.7


@pytest.mark.parametrize(("interval", "kind"), [(1, "DELTA"), (64, "DELTA"), (None, "FINAL_ONLY")])
def test_the_stream_interval_chooses_the_output_kind(interval: int | None, kind: str) -> None:
    assert sampling_params(Sampling(), {}, stream_interval=interval).output_kind is RequestOutputKind[kind]


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("response_format", "json_object", "schema"),
    [
        (ResponseFormat("json_object"), True, None),
        (ResponseFormat("json_schema", "n", SCHEMA), None, SCHEMA),
        (ResponseFormat("json_schema"), None, {}),
    ],
)
def test_a_response_format_is_a_structured_output(
    response_format: ResponseFormat, json_object: bool | None, schema: dict[str, Any] | None
) -> None:
    params = sampling_params(Sampling(response_format=response_format), {}, stream_interval=1)
    assert params.structured_outputs is not None
    assert params.structured_outputs.json_object == json_object
    assert params.structured_outputs.json == schema


def test_plain_text_has_no_structured_output() -> None:
    assert sampling_params(Sampling(), {}, stream_interval=1).structured_outputs is None


async def test_a_call_has_the_prompt_the_id_and_the_priority() -> None:
    vllm, client = adapter(*ANSWER)
    async for _ in vllm.generate("r7", PROMPT, Sampling(max_tokens=9), priority=-3):
        pass
    [(token_ids, params, request_id, priority)] = client.calls
    assert (token_ids, params.max_tokens, request_id, priority) == ([5, 6, 7], 9, "r7", rank_of(-3, 0))


@pytest.mark.parametrize("sampled", [True, False])
async def test_the_engines_span_is_below_that_of_the_call(sampled: bool) -> None:
    vllm, client = adapter(*ANSWER, traces="http://collector/v1/traces")
    trace = TraceContext(2, 3, sampled)
    async for _ in vllm.generate("r", PROMPT, Sampling(max_tokens=9), trace=trace):
        pass
    assert client.extra["trace_headers"] == {"traceparent": f"00-{2:032x}-{3:016x}-0{int(sampled)}"}


async def test_a_call_without_a_trace_begins_none_in_the_engine() -> None:
    vllm, client = adapter(*ANSWER, traces="http://collector/v1/traces")
    await deltas(vllm)
    assert client.extra["trace_headers"]["traceparent"].endswith("-00")
    vllm, client = adapter(*ANSWER)
    await deltas(vllm)
    assert "trace_headers" not in client.extra, "the engine makes no spans"


async def test_at_equal_priority_the_tenant_that_asked_less_comes_next() -> None:
    vllm, client = adapter(*ANSWER)
    for tenant in ("flood", "flood", "neighbour"):
        await anext(vllm.generate(tenant, PROMPT, Sampling(max_tokens=9), tenant=tenant))
    first, second, neighbour = (rank for *_, rank in client.calls)
    assert first == neighbour < second < rank_of(1, 0)


@simulated_time
async def test_a_call_waits_for_its_place_and_gives_it_back_in_any_case() -> None:
    vllm, client = adapter(*ANSWER)
    streams = [vllm.generate("r", PROMPT, Sampling(max_tokens=9), tenant=tenant) for tenant in ("a", "b", "a")]
    for stream in streams[:2]:
        await anext(stream)
    waiting = asyncio.create_task(anext(streams[2]))
    await asyncio.sleep(0.01)
    assert (len(client.calls), vllm.queue.held) == (2, {"a": 1, "b": 1})
    await streams[0].aclose()
    await waiting
    for stream in streams:
        await stream.aclose()
    assert (len(client.calls), vllm.queue.held) == (3, {})


@simulated_time
async def test_the_wait_for_a_place_counts_as_time_in_the_queue() -> None:
    metrics = RequestStateStats(queued_ts=1.0, scheduled_ts=1.5, first_token_latency=0.7)
    vllm, _ = adapter(output(choice("4", 1, end="stop"), metrics=metrics))
    holds = [vllm.generate("r", PROMPT, Sampling(max_tokens=9), tenant=tenant) for tenant in ("a", "b")]
    turns = [vllm.queue.turn(tenant, 0) for tenant in ("a", "b")]
    for turn in turns:
        await turn.enter()
    reading = asyncio.create_task(anext(holds[0]))
    await asyncio.sleep(3)
    turns[1].leave(1)
    timing = (await reading).timing
    assert timing is not None
    assert (timing.queue_s, timing.ttft_s) == (3.5, 3.7)


# Deltas


async def test_the_last_delta_has_usage_and_timing() -> None:
    first, last = await deltas(adapter(*ANSWER)[0])
    assert (first.text, first.finish_reason, first.usage, first.timing) == ("4", None, None, None)
    assert (last.text, last.finish_reason, last.usage) == ("2", "stop", TokenUsage(3, 2, 2))
    assert last.timing is not None


async def test_only_the_last_choice_to_end_is_terminal() -> None:
    vllm, _ = adapter(
        output(choice("a", 1), choice("b", 2, index=1)),
        output(choice("", 3, index=1, end="length")),
        output(choice("c", 4, end="stop")),
    )
    found = await deltas(vllm, n=2)
    assert [(delta.index, delta.text, delta.finish_reason, delta.terminal) for delta in found] == [
        (0, "a", None, False),
        (1, "b", None, False),
        (1, "", "length", False),
        (0, "c", "stop", True),
    ]
    assert found[-1].usage == TokenUsage(3, 4, 2)


async def test_every_delta_has_the_usage_so_far_if_it_is_asked_for() -> None:
    vllm, _ = adapter(
        output(choice("a", 1), choice("", 2, index=1)),  # part of a character: not sent, but counted
        output(choice("b", 3, index=1, end="stop")),
        output(choice("c", 4, 5, end="stop")),
    )
    stream = vllm.generate("r", PROMPT, Sampling(max_tokens=9, n=2), running_usage=True)
    found = [(delta.text, delta.running_usage, delta.usage) async for delta in stream]
    assert found == [
        ("a", TokenUsage(3, 1, 2), None),
        ("b", TokenUsage(3, 3, 2), None),
        ("c", None, TokenUsage(3, 5, 2)),
    ]


async def test_the_tokens_of_the_first_choice_are_given_to_who_asks_for_them() -> None:
    vllm, _ = adapter(
        output(choice("a", 1), choice("b", 2, index=1)),
        output(choice("", 3, end="length"), choice("", 4, index=1, end="stop")),
    )
    generated: list[int] = []
    async for _ in vllm.generate("r", PROMPT, Sampling(max_tokens=9, n=2), generated=generated):
        pass
    assert generated == [1, 3]


async def test_tokens_without_text_are_counted_and_not_sent() -> None:
    """Part of a character, or text that may still become a stop string."""
    found = await deltas(adapter(output(choice("", 1)), output(choice("é", 2, end="stop")))[0])
    assert [delta.text for delta in found] == ["é"]
    assert found[0].usage == TokenUsage(3, 2, 2)


def position(**ranked: float) -> dict[int, Logprob]:
    """Alternatives of one token, the most likely first; a token's id is its letter's."""
    return {
        ord(token): Logprob(logprob, rank=rank, decoded_token=token)
        for rank, (token, logprob) in enumerate(ranked.items(), 1)
    }


async def logprobs_of(wanted: int | None, logprobs: list[dict[int, Logprob]] | None) -> Any:
    [delta] = await deltas(adapter(output(choice("b", ord("b"), end="stop", logprobs=logprobs)))[0], logprobs=wanted)
    return delta.logprobs


async def test_logprobs_are_the_chosen_tokens_with_the_best_alternatives() -> None:
    unordered = dict(reversed(position(a=-0.1, b=-2.5, c=-4.0).items()))
    [found] = await logprobs_of(2, [unordered])
    assert found == TokenLogprob("b", -2.5, b"b", (TokenLogprob("a", -0.1, b"a"), TokenLogprob("b", -2.5, b"b"))), (
        "ranked, and cut to two: vLLM adds the chosen token to those asked for"
    )
    [without_alternatives] = await logprobs_of(0, [unordered])
    assert without_alternatives == TokenLogprob("b", -2.5, b"b")


async def test_logprobs_that_are_not_asked_for_or_not_there_are_none() -> None:
    assert await logprobs_of(None, [position(b=-0.1)]) is None
    assert await logprobs_of(2, None) is None


async def test_a_token_that_is_no_text_has_an_empty_logprob_text() -> None:
    [found] = await logprobs_of(0, [{ord("b"): Logprob(-1.0, rank=1)}])
    assert found == TokenLogprob("", -1.0, b"")


async def timing_of(monkeypatch: pytest.MonkeyPatch, metrics: RequestStateStats | None) -> Timing | None:
    walls = iter([100.0, 100.5])
    monkeypatch.setattr("deployments.model.vllm_adapter.time.time", lambda: next(walls))
    [delta] = await deltas(adapter(output(choice("a", 1, end="stop"), metrics=metrics))[0])
    return delta.timing


@pytest.mark.parametrize(
    ("metrics", "timing"),
    [
        (None, Timing(total_s=0.5)),
        (RequestStateStats(), Timing(total_s=0.5)),  # vLLM's zero is "not yet"
        (
            RequestStateStats(queued_ts=7.0, scheduled_ts=7.25, first_token_latency=0.375),
            Timing(queue_s=0.25, ttft_s=0.375, total_s=0.5),
        ),
    ],
)
async def test_timing_is_vllms_own(
    monkeypatch: pytest.MonkeyPatch, metrics: RequestStateStats | None, timing: Timing
) -> None:
    assert await timing_of(monkeypatch, metrics) == timing


@pytest.mark.parametrize(
    ("given", "meant"), [(None, None), ("stop", "stop"), ("length", "length"), ("repetition", "stop")]
)
def test_a_finish_reason_is_translated(given: str | None, meant: str | None) -> None:
    assert finish_reason("m", given) == meant


def test_an_aborted_answer_is_not_a_whole_one() -> None:
    with pytest.raises(IncompleteGeneration, match="the engine aborted the request"):
        finish_reason("m", "abort")
    with pytest.raises(EngineFailed, match="'error'"):
        finish_reason("m", "error")


# Errors


def caused(cause: Exception) -> EngineGenerateError:
    error = EngineGenerateError()
    error.__cause__ = cause
    return error


UNAVAILABLE = "'m' is not available: its engine process died; a new one is being started."
BUSY = "'m' has too many requests waiting; retry later."


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (VLLMValidationError("top_p is\n wrong."), InvalidRequest, "'m' refused the request: top_p is wrong."),
        (
            VLLMValidationError("too long", parameter="max_tokens", value=9),
            InvalidRequest,
            "'m' refused the request: too long.",
        ),
        (
            VLLMValidationError("Not a regex: [08:34:19] /project/cpp/regex.cc:83: The parenthesis\nis not closed."),
            InvalidRequest,
            "'m' refused the request: Not a regex: The parenthesis is not closed.",
        ),
        (VLLMUnprocessableEntityError("no image"), InvalidRequest, "'m' refused the request: no image."),
        (VLLMClientError("no"), InvalidRequest, "'m' refused the request: no."),
        (QueueOverflowError(), Overloaded, BUSY),
        (MaxQueuedTokensError(), Overloaded, BUSY),
        (GracefulHTTPError(SECRET, HTTPStatus.SERVICE_UNAVAILABLE), Overloaded, BUSY),
        (EngineDeadError(), EngineUnavailable, UNAVAILABLE),
        (IncompleteGeneration("m", "ours"), IncompleteGeneration, "The engine of 'm' failed: ours."),
    ],
)
async def test_an_error_with_a_meaning_keeps_it(error: Exception, kind: type[MoaError], message: str) -> None:
    with pytest.raises(MoaError) as caught:
        await deltas(adapter(error)[0])
    assert type(caught.value) is kind
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (ValueError(SECRET), "ValueError"),
        (TypeError(SECRET), "TypeError"),
        (RuntimeError(SECRET), "RuntimeError"),
        (EngineGenerateError(SECRET), "EngineGenerateError"),
        (caused(OSError(SECRET)), "OSError"),
    ],
)
async def test_any_other_errors_text_is_in_the_log_alone(
    error: Exception, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(EngineFailed) as caught:
        await deltas(adapter(error)[0])
    assert str(caught.value) == f"The engine of 'm' failed: {named}; the replica's log has the details."
    assert caught.value.__cause__ is None, "Ray would send a cause along"
    assert SECRET not in repr(caught.value.args)
    assert SECRET in caplog.text


async def test_the_parameter_that_vllm_refuses_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await deltas(adapter(VLLMValidationError("too long", parameter="bad_words", value=["x"]))[0])
    assert caught.value.param == "bad_words"


async def test_token_ids_are_checked_with_the_models_vocabulary() -> None:
    vllm, client = adapter(*ANSWER)
    with pytest.raises(InvalidRequest, match="'m' has the tokens 0 to 9, not 10"):
        await deltas(vllm, decoding=Decoding(stop_token_ids=(10,)))
    assert client.calls == []
    await deltas(vllm, decoding=Decoding(stop_token_ids=(9,)))
    assert client.calls[0][1].stop_token_ids == [9]


@pytest.mark.parametrize(("salt", "given"), [(None, None), ("s", "salt:s")])
async def test_a_salt_reaches_vllm(salt: str | None, given: str | None) -> None:
    vllm, client = adapter(*ANSWER)
    async with aclosing(vllm.generate("r", PROMPT, Sampling(max_tokens=9), cache_salt=salt)) as stream_of:
        async for _ in stream_of:
            pass
    assert client.prompt.get("cache_salt") == given


async def test_a_value_that_vllm_refuses_is_the_callers_error() -> None:
    with pytest.raises(InvalidRequest, match=r"'m' refused the request: .*top_p"):
        await deltas(adapter(*ANSWER)[0], top_p=7.0)


async def test_an_error_of_an_engine_that_died_is_its_death() -> None:
    vllm, client = adapter(RuntimeError(SECRET))
    client.errored = True
    with pytest.raises(EngineUnavailable) as caught:
        await deltas(vllm)
    assert str(caught.value) == UNAVAILABLE


# Counts


async def test_counts_are_of_finished_and_aborted_requests() -> None:
    vllm, client = adapter(*ANSWER)
    await deltas(vllm)
    async with aclosing(stream(vllm)) as left_early:
        await anext(left_early)
        held = vllm.stats()
        assert (held.unfinished_requests, held.finished_requests, held.aborted_requests) == (1, 1, 0)
    client.steps = (output(choice("4", 1)), RuntimeError("broken"))
    with pytest.raises(EngineFailed):
        await deltas(vllm)
    stats = vllm.stats()
    assert (stats.unfinished_requests, stats.finished_requests, stats.aborted_requests) == (0, 1, 2)
    assert stats.generated_tokens == 2 + 1 + 1
    assert stats.pid == os.getpid()


async def test_closing_the_stream_closes_that_of_vllm() -> None:
    vllm, client = adapter(*ANSWER)
    async with aclosing(stream(vllm)) as deltas_of_it:
        await anext(deltas_of_it)
        assert client.open == 1
    assert client.open == 0


async def test_a_health_check_is_not_an_unfinished_request() -> None:
    seen = []

    async def look() -> None:
        seen.append(vllm.stats().unfinished_requests)

    vllm, _ = adapter(look, *ANSWER)
    await vllm.round_trip(5)
    assert seen == [0]


def test_the_models_sizes_are_those_of_vllm() -> None:
    vllm, client = adapter()
    assert (vllm.context_tokens, vllm.block_size, vllm.tokenizer) == (64, 16, "tokenizer")
    assert vllm.vocabulary_size == 10
    assert client.errored is vllm.dead is False


# Health


async def test_a_round_trip_is_one_token_ahead_of_all_others() -> None:
    vllm, client = adapter(*ANSWER)
    await vllm.round_trip(5)
    [(token_ids, params, _, priority)] = client.calls
    assert (len(token_ids), params.max_tokens, params.temperature) == (1, 1, 0)
    assert params.output_kind is RequestOutputKind.FINAL_ONLY
    assert priority < rank_of(-(PRIORITIES + 1) * PRIORITIES_PER_REQUEST, 0)  # of the most urgent class, and its layers


async def test_a_dead_engine_is_not_asked() -> None:
    vllm, client = adapter(*ANSWER)
    client.errored = True
    with pytest.raises(EngineUnavailable, match="its engine process died"):
        await vllm.round_trip(5)
    assert client.calls == []


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_silent_engine_is_unavailable_and_its_probe_aborted() -> None:
    vllm, client = adapter(forever)
    with pytest.raises(EngineUnavailable, match=r"its engine produced no output for 0.01 s"):
        await vllm.round_trip(0.01)
    assert client.open == 0
    assert vllm.stats().aborted_requests == 1


async def test_an_engine_that_works_for_others_is_healthy() -> None:
    vllm, client = adapter(forever)

    async def work_for_another() -> None:
        client.steps = ANSWER
        await deltas(vllm)
        await forever()

    client.steps = (work_for_another,)
    await vllm.round_trip(0.05)
    assert len(client.calls) == 2


async def test_an_engine_that_fails_the_probe_fails_the_check() -> None:
    with pytest.raises(EngineFailed, match="RuntimeError"):
        await adapter(RuntimeError("broken"))[0].round_trip(5)


# Engine


@pytest.mark.parametrize(
    ("device", "workers", "executor"), [("cpu", 1, UniProcExecutor), ("cpu", 2, "vllm's"), ("cuda", 1, "vllm's")]
)
def test_a_single_cpu_worker_runs_in_the_engines_process(
    monkeypatch: pytest.MonkeyPatch, device: str, workers: int, executor: object
) -> None:
    parallel = SimpleNamespace(world_size=workers, distributed_executor_backend="vllm's")
    config = SimpleNamespace(
        parallel_config=parallel, device_config=SimpleNamespace(device_type=device), lora_config=None
    )
    monkeypatch.setattr(LeanVLLMEngine.__base__, "_prepare_engine_config", lambda *_: ("args", "frontend", config))
    engine = object.__new__(LeanVLLMEngine)
    assert engine._prepare_engine_config(None) == ("args", "frontend", config)
    assert parallel.distributed_executor_backend == executor


def test_the_server_starts_the_lean_engine() -> None:
    assert VllmAdapter.engine_class() is LeanVLLMEngine


# LoRA adapters


class AdaptedClient(ScriptedClient):
    """Loads adapters as a script says."""

    def __init__(self, *steps: Step, loads: bool | Exception = True) -> None:
        super().__init__(*steps)
        self.loads, self.loaded = loads, []

    async def add_lora(self, lora_request: LoRARequest) -> bool:
        self.loaded.append(lora_request)
        if isinstance(self.loads, Exception):
            raise self.loads
        return self.loads


def adapted(*steps: Step, loads: bool | Exception = True) -> tuple[VllmAdapter, AdaptedClient]:
    client = AdaptedClient(*steps, loads=loads)
    return VllmAdapter("m", SimpleNamespace(_engine_client=client)), client  # type: ignore[arg-type]


async def test_an_adapter_is_loaded_once_and_named_with_every_request() -> None:
    vllm, client = adapted(*ANSWER)
    lora = await vllm.add_adapter("sql", 1, Path("/models/sql"))
    assert [(one.lora_name, one.lora_int_id, one.lora_path) for one in client.loaded] == [("sql", 1, "/models/sql")]
    assert "".join([one.text async for one in vllm.generate("r", PROMPT, Sampling(max_tokens=9), lora=lora)]) == "42"
    assert client.extra == {"lora_request": lora}
    await deltas(vllm)
    assert client.extra == {}


@pytest.mark.parametrize(
    ("loads", "sentence"),
    [
        (
            ValueError("expected target modules in {'qkv_proj'} but received ['x']."),
            r"\(expected target modules .*\['x'\]\)",
        ),
        (False, "its engine's log has the reason"),
    ],
)
async def test_an_adapter_that_cannot_be_loaded_is_named_with_vllms_reason(loads: Any, sentence: str) -> None:
    vllm, _ = adapted(loads=loads)
    with pytest.raises(ConfigError, match=f"The adapter 'sql' cannot be loaded into 'm'.*{sentence}"):
        await vllm.add_adapter("sql", 1, Path("/models/sql"))


async def test_errors_of_an_adapters_request_name_it() -> None:
    vllm, _ = adapted(EngineDeadError())
    lora = await vllm.add_adapter("sql", 1, Path("/models/sql"))
    with pytest.raises(EngineUnavailable, match="'sql'"):
        await collect("m", vllm.generate("r", PROMPT, Sampling(max_tokens=9), lora=lora))


async def test_a_salt_with_an_adapters_name_is_not_the_adapter_in_vllms_prefix_cache() -> None:
    """vLLM puts both into one tuple of a block's hash."""

    def keys(salt: str | None, lora: LoRARequest | None) -> Any:
        request = SimpleNamespace(lora_request=lora, cache_salt=salt, mm_features=[], prompt_embeds=None)
        return generate_block_hash_extra_keys(request, 0, 16, 0)[0]  # type: ignore[arg-type]

    vllm, client = adapted(*ANSWER)
    lora = await vllm.add_adapter("sql", 1, Path("/models/sql"))
    assert keys("sql", None) == keys(None, lora), "vLLM keeps them apart by itself: no prefix is needed"
    [_ async for _ in vllm.generate("r", PROMPT, Sampling(max_tokens=9), cache_salt="sql")]
    assert keys(client.prompt["cache_salt"], None) != keys(None, lora)
    images = {"prompt_token_ids": [*PROMPT]}
    [_ async for _ in vllm.generate("r", PROMPT, Sampling(max_tokens=9), cache_salt="sql", images=images)]  # type: ignore[arg-type]
    assert keys(client.prompt["cache_salt"], None) != keys(None, lora)


@pytest.mark.parametrize("supported", [True, False])
def test_an_architecture_without_lora_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr("deployments.model.lean_engine.get_model_cls", lambda config: object)
    monkeypatch.setattr("deployments.model.lean_engine.supports_lora", lambda model: supported)
    model = SimpleNamespace(architectures=["MambaForCausalLM"], served_model_name="m")
    check_lora(SimpleNamespace(lora_config=None, model_config=model))
    config = SimpleNamespace(lora_config=object(), model_config=model)
    if supported:
        check_lora(config)
        return
    with pytest.raises(ConfigError, match="no LoRA adapters into the architecture MambaForCausalLM of 'm'; remove its"):
        check_lora(config)


# Parsers

TOOL = Tool("add", None, {"type": "object", "properties": {"a": {"type": "integer"}}})
THOUGHT = '<think>so</think>Hi<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def thinking_adapter(*steps: Step) -> tuple[VllmAdapter, ScriptedClient]:
    vllm, client = adapter(*steps)
    client.renderer = SimpleNamespace(tokenizer=thinking_tokenizer())  # type: ignore[assignment]
    client.model_config.hf_config = SimpleNamespace(model_type="qwen2")
    client.model_config.hf_text_config = None
    return vllm, client


def parsed(vllm: VllmAdapter, n: int = 1, interval: int | None = 1) -> AsyncGenerator[Delta, None]:
    request = GenerateRequest("r", (Message("user", "x"),), tools=(TOOL,))
    parser = vllm.output_parsers("deepseek_r1", "hermes").open(request, {}, PROMPT, ())
    return vllm.generate("r", PROMPT, Sampling(max_tokens=9, n=n), stream_interval=interval, parser=parser)


def piece(text: str, index: int = 0, end: str | None = None) -> CompletionOutput:
    ids = thinking_tokenizer().encode(text, add_special_tokens=False)
    return choice(text, *ids, *([2] if end == "stop" else []), index=index, end=end)


@pytest.mark.parametrize("interval", [1, None])
async def test_reasoning_and_calls_are_fields(interval: int | None) -> None:
    steps = (
        [output(piece(THOUGHT, end="stop"))]
        if interval is None
        else [output(piece("<think>so")), output(piece("</think>Hi")), output(piece(THOUGHT[19:], end="stop"))]
    )
    vllm, client = thinking_adapter(*steps)
    [only] = (await collect("m", parsed(vllm, interval=interval))).choices
    assert (only.reasoning, only.text, only.finish_reason) == ("so", "Hi", "tool_calls")
    assert [(call.name, call.arguments) for call in only.tool_calls] == [("add", '{"a": 1}')]
    assert client.calls[0][1].skip_special_tokens is False
    assert client.extra["reasoning_ended"] is False


async def test_each_choice_has_a_parser_and_the_usage_has_all_reasoning() -> None:
    vllm, _ = thinking_adapter(
        output(piece("<think>a b"), piece("<think>c", index=1)),
        output(piece("</think>d", end="stop")),
        output(piece("</think>e", index=1, end="length")),
    )
    found = await collect("m", parsed(vllm, n=2), 2)
    assert [(one.reasoning, one.text, one.finish_reason) for one in found.choices] == [
        ("a b", "d", "stop"),
        ("c", "e", "length"),
    ]
    assert found.usage.reasoning_tokens == len(thinking_tokenizer().encode("a bc", add_special_tokens=False))


async def test_part_of_a_tag_is_not_sent() -> None:
    vllm, _ = thinking_adapter(output(piece("<think>")), output(piece("a")), output(piece("</think>", end="length")))
    found = [delta async for delta in parsed(vllm)]
    assert [(delta.reasoning, delta.text, delta.finish_reason) for delta in found] == [
        ("a", "", None),
        ("", "", "length"),
    ]


async def test_a_tool_that_no_grammar_can_be_made_of_is_the_callers_error() -> None:
    vllm, _ = thinking_adapter(*ANSWER)
    shared = {"$defs": {"x": {"type": "string"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}
    tools = (Tool("f", None, shared), Tool("g", None, {**shared, "$defs": {"x": {"type": "integer"}}}))
    request = GenerateRequest("r", (Message("user", "x"),), tools=tools, tool_choice=ToolChoice("required"))
    parser = vllm.output_parsers(None, None).open(request, {}, PROMPT, ())
    with pytest.raises(InvalidRequest, match=r"The tools cannot be made into a grammar: .*multiple schemas"):
        [delta async for delta in vllm.generate("r", PROMPT, Sampling(max_tokens=9), parser=parser)]


UNKNOWN_TYPE = {"type": "object", "properties": {"a": {"type": "banana"}}}


class Grammars:
    """In place of `GrammarCompiler`: refuses the rules with a word in them."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, []  # type: ignore[var-annotated]

    async def check(self, kind: str, text: str, path: str, tenant: str = "") -> None:
        self.asked.append((kind, path))
        if any(word in text for word in self.refused):
            raise InvalidRequest(f"Change '{path}'.", path)


LARGE = {"type": "object", "properties": {"large": {"type": "string"}}}


@pytest.mark.parametrize("mode", [ToolChoice(), ToolChoice("required"), ToolChoice("named", "wrong")])
@pytest.mark.parametrize("parser", ["hermes", None])
async def test_the_tool_of_which_no_grammar_can_be_made_is_named(mode: ToolChoice, parser: str | None) -> None:
    vllm, client = thinking_adapter(*ANSWER)
    vllm.grammars = grammars = Grammars("large")  # type: ignore[assignment]
    tools = (TOOL, Tool("wrong", None, LARGE, True, "tools[1].function.parameters"))
    request = GenerateRequest("r", (Message("user", "x"),), tools=tools, tool_choice=mode)
    if parser is None and mode.mode == "auto":
        return
    opened = vllm.output_parsers(None, parser).open(request, {}, PROMPT, ())
    with pytest.raises(InvalidRequest) as caught:
        [delta async for delta in vllm.generate("r", PROMPT, Sampling(max_tokens=9), parser=opened)]
    assert caught.value.param == "tools[1].function.parameters"
    assert grammars.asked[0][1] == "tools"
    assert not client.calls, "the engine was not asked"


async def test_a_grammar_of_tools_that_only_together_cannot_be_made_is_refused() -> None:
    vllm, _ = thinking_adapter(*ANSWER)
    vllm.grammars = Grammars("tool_call")  # type: ignore[assignment]
    tools = (Tool("wrong", None, LARGE, True),)
    request = GenerateRequest("r", (Message("user", "x"),), tools=tools)
    opened = vllm.output_parsers(None, "hermes").open(request, {}, PROMPT, ())
    with pytest.raises(InvalidRequest, match="Change 'tools'"):
        [delta async for delta in vllm.generate("r", PROMPT, Sampling(max_tokens=9), parser=opened)]


@pytest.mark.parametrize("mode", [ToolChoice("required"), ToolChoice("named", "loose")])
async def test_a_schema_that_no_grammar_holds_is_any_object_to_a_forced_call(mode: ToolChoice) -> None:
    vllm, client = thinking_adapter(*ANSWER)
    vllm.grammars = Grammars()  # type: ignore[assignment]
    loose = {"type": "object", "properties": {"a": {"not": {}}}, "required": ["a"]}
    request = GenerateRequest("r", (Message("user", "x"),), tools=(Tool("loose", None, loose),), tool_choice=mode)
    opened = vllm.output_parsers(None, None).open(request, {}, PROMPT, ())
    [delta async for delta in vllm.generate("r", PROMPT, Sampling(max_tokens=9), parser=opened)]
    [(_, params, _, _)] = client.calls
    assert "not" not in str(params.structured_outputs.json)
    assert "'additionalProperties': True" in str(params.structured_outputs.json)


async def test_the_engine_gets_a_rule_that_was_compiled_and_need_not_check_it() -> None:
    vllm, client = thinking_adapter(*ANSWER, *ANSWER, *ANSWER)
    vllm.grammars = grammars = Grammars("[a-z]")  # type: ignore[assignment]
    config = SimpleNamespace(backend="auto")
    model = SimpleNamespace(is_diffusion=False)
    for rule, asked in (
        (ResponseFormat("json_schema", schema={"type": "array", "maxItems": 2.0}, path="p"), [("json", "p")]),
        (ResponseFormat("choice", choices=("a", "b"), path="p"), [("grammar", "p")]),
        (ResponseFormat("json_object"), []),
    ):
        grammars.asked.clear()
        sampling = Sampling(max_tokens=9, response_format=rule)
        [delta async for delta in vllm.generate("r", PROMPT, sampling)]
        assert grammars.asked == asked
        params = client.calls[-1][1]
        params._validate_structured_outputs(model, config, "tokenizer")
        assert params.structured_outputs._backend == "xgrammar"
        sent = MsgpackDecoder(SamplingParams).decode(MsgpackEncoder().encode(params))
        assert sent.structured_outputs == params.structured_outputs, "the engine's process reads it"
    wanted = Sampling(max_tokens=9, response_format=ResponseFormat("regex", rule="[a-z]", path="p"))
    with pytest.raises(InvalidRequest, match="Change 'p'"):
        [delta async for delta in vllm.generate("r", PROMPT, wanted)]
    assert len(client.calls) == 3


async def test_a_tool_that_is_in_no_grammar_is_not_blamed() -> None:
    vllm, _ = thinking_adapter(VLLMValidationError("top_p is wrong."))
    request = GenerateRequest("r", (Message("user", "x"),), tools=(Tool("wrong", None, UNKNOWN_TYPE),))
    opened = vllm.output_parsers(None, "hermes").open(request, {}, PROMPT, ())
    with pytest.raises(InvalidRequest, match="'m' refused the request: top_p is wrong"):
        [delta async for delta in vllm.generate("r", PROMPT, Sampling(max_tokens=9), parser=opened)]


async def test_a_stop_string_is_told_and_a_stop_token_is_not() -> None:
    for stop_reason, stop in (("END", "END"), (7, None), (None, None)):
        ended = output(choice("2", 2, end="stop", stop_reason=stop_reason))
        assert [delta.stop for delta in await deltas(adapter(ANSWER[0], ended)[0])] == [None, stop]


async def test_a_prompt_with_images_goes_to_the_engine_as_it_is() -> None:
    vllm, client = adapter(*ANSWER)
    seen: Any = {"type": "multimodal", "prompt_token_ids": [5, 9, 9, 7]}
    found = [delta async for delta in vllm.generate("r", [5, 9, 9, 7], Sampling(max_tokens=9), images=seen)]
    assert client.calls[0][0] is seen["prompt_token_ids"]
    assert found[-1].usage is not None
    assert found[-1].usage.prompt_tokens == 4


def test_images_are_read_by_the_engines_own_renderer() -> None:
    vllm, client = adapter()
    client.renderer = SimpleNamespace(mm_processor=None)  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="'m' reads no images"):
        vllm.image_prompts()
    limits = SimpleNamespace(info=SimpleNamespace(allowed_mm_limits={"image": 3}))
    client.renderer = SimpleNamespace(mm_processor=limits)  # type: ignore[assignment]
    assert vllm.image_prompts().max_images == 3


async def test_greedy_choices_are_equal_and_generated_once() -> None:
    vllm, client = adapter(output(choice("a", 1)), output(choice("b", 2, end="stop")))
    found = await deltas(vllm, temperature=0, n=3)
    assert client.calls[0][1].n == 1
    assert [(delta.index, delta.text) for delta in found] == [
        (0, "a"),
        (1, "a"),
        (2, "a"),
        (0, "b"),
        (1, "b"),
        (2, "b"),
    ]
    assert [delta.finish_reason for delta in found[3:]] == ["stop"] * 3
    assert [delta.terminal for delta in found] == [False] * 5 + [True]
    assert found[-1].usage == TokenUsage(3, 6, 2)  # as of three choices


async def test_fewer_tokens_than_are_asked_for_at_least_are_the_callers_error() -> None:
    with pytest.raises(InvalidRequest, match="Set 'min_tokens' to at most 9") as caught:
        await deltas(adapter()[0], min_tokens=10)
    assert caught.value.param == "min_tokens"
