"""The model replica between a request and its engine: the prompt that it renders, and what it parses."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import SamplingParams

from deployments.model.echo import Echo
from deployments.model.output_parser import OutputParsers, RequestParser
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker
from deployments.model.raw_prompts import PromptCodec
from deployments.model.served_model import ServedModel
from deployments.model_spec import ModelSpec
from deployments.wire import unpack
from serving.conversation import Message, Tool, ToolCall, ToolChoice
from serving.engine import collect
from serving.errors import ContextTooLong, InvalidRequest
from serving.references import Reference, ReferenceBlock
from serving.tenant import Tenant
from serving.types import Completion, Delta, GenerateRequest, RawPrompt, Sampling, Tokens
from serving.usage import TokenUsage
from tests.support.thinking_model import thinking_tokenizer
from tests.support.waiting import GUARD_S, until

CONFIG = SimpleNamespace(hf_config=SimpleNamespace(model_type="qwen2"), hf_text_config=None)
TOOLS = (Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}}), Tool("now"))
WRITTEN = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


class WritingEngine:
    """In place of `VllmAdapter`: every answer is `WRITTEN`, and prompts are kept."""

    context_tokens, block_size = 4096, 1

    def __init__(self) -> None:
        self.prompts: list[tuple[int, ...]] = []
        self.salts: list[str | None] = []
        self.tenants: list[str] = []

    async def generate(
        self,
        request_id: str,
        token_ids: Sequence[int],
        sampling: Sampling,
        *,
        parser: RequestParser | None = None,
        echo: Echo | None = None,
        cache_salt: str | None = None,
        tenant: str = "",
        **_: Any,
    ) -> AsyncGenerator[Delta, None]:
        self.prompts.append(tuple(token_ids))
        self.sampling = sampling
        self.salts.append(cache_salt)
        self.tenants.append(tenant)
        delta = Delta(WRITTEN, finish_reason="stop")
        if echo is not None:
            delta = echo.before(delta, [None] * len(token_ids), sampling.logprobs)
        if parser is not None:
            parser.prepare(SamplingParams())
            ids = thinking_tokenizer().encode(WRITTEN, add_special_tokens=False)
            delta = parser.choice().parse(delta, [*ids, thinking_tokenizer().convert_tokens_to_ids("<|im_end|>")])
        yield replace(delta, usage=TokenUsage())


class Replica(ServedModel):
    """A replica on a scripted engine."""

    def __init__(self, engine: WritingEngine) -> None:
        tokenizer = thinking_tokenizer()
        options = {"max_model_len": 4096, "tool_call_parser": "hermes"}
        spec = ModelSpec(id="m", source="org/m", engine_kwargs=options)
        codec, worker = PromptCodec(tokenizer, "m", 10**6), PromptWorker()
        parsers = OutputParsers("m", tokenizer, CONFIG, None, "hermes")
        super().__init__(spec, engine, PromptRenderer(tokenizer, "m"), codec, parsers, worker)  # type: ignore[arg-type]


async def answer(replica: Replica, request: GenerateRequest) -> Completion:
    async def deltas() -> AsyncGenerator[Delta, None]:
        async for group in replica.generate(request):
            for packed in group:
                yield unpack(packed)

    return await collect("m", deltas())


async def test_forbidden_tools_stay_in_the_prompt_and_what_looks_like_a_call_is_text() -> None:
    replica = Replica(engine := WritingEngine())
    first = GenerateRequest("r", (Message("user", "Add."),), tools=TOOLS, session="s")
    [called] = (await answer(replica, first)).choices
    assert [(call.name, call.arguments) for call in called.tool_calls] == [("add", '{"a": 1}')]
    turns = (Message("assistant", "", tool_calls=called.tool_calls), Message("tool", "2", tool_call_id="c"))
    last = replace(first, messages=(*first.messages, *turns), tool_choice=ToolChoice("none"))
    [choice] = (await answer(replica, last)).choices
    assert (choice.text, choice.tool_calls, choice.finish_reason) == (WRITTEN, (), "stop")
    before, after = engine.prompts
    assert len(after) > len(before)
    assert after[: len(before)] == before


async def test_a_prefill_has_the_tools_of_a_request_that_forbids_them() -> None:
    replica = Replica(engine := WritingEngine())
    call = ToolCall("c", "add", "{}")
    turns = (Message("user", "Add."), Message("assistant", "", tool_calls=(call,)), Message("tool", "[[x]]"))
    asked = GenerateRequest("r", turns, tools=TOOLS, tool_choice=ToolChoice("none"))
    await replica.prefill(asked, "[[x]]")
    [prompt] = engine.prompts
    assert replica._renderer.token_ids(turns, TOOLS)[: len(prompt)] == prompt
    assert len(prompt) > len(replica._renderer.token_ids(turns[:1], TOOLS))


def raw(content: str | tuple[int, ...], **fields: Any) -> GenerateRequest:
    echo = fields.pop("echo", False)
    return GenerateRequest("r", (), Sampling(max_tokens=16, **fields), prompt=RawPrompt(content, echo=echo))


async def test_a_raw_prompt_is_read_as_it_is_and_its_answer_is_text() -> None:
    replica = Replica(engine := WritingEngine())
    text = "<|im_start|>user\nAdd.<|im_end|>\n<|im_start|>assistant\n"
    [choice] = (await answer(replica, raw(text))).choices
    assert (choice.text, choice.tool_calls) == (WRITTEN, ())
    assert engine.prompts == [replica._renderer.token_ids((Message("user", "Add."),))]
    await answer(replica, raw((3, 4)))
    assert engine.prompts[1:] == [(3, 4)]


async def test_an_echo_has_the_prompts_text_and_tokens() -> None:
    replica = Replica(WritingEngine())
    ids = tuple(thinking_tokenizer().encode("What is 1 + 2?"))
    [choice] = (await answer(replica, raw(ids, echo=True, logprobs=0))).choices
    assert choice.text == f"What is 1 + 2?{WRITTEN}"
    assert "".join(one.token for one in choice.logprobs) == "What is 1 + 2?"


async def test_a_prompt_must_have_tokens_of_the_vocabulary_and_fit() -> None:
    replica = Replica(WritingEngine())
    with pytest.raises(InvalidRequest, match="Give 'prompt' at least one token"):
        await answer(replica, raw(""))
    with pytest.raises(InvalidRequest, match=r"Set 'prompt\[0\]' to a token id of 'm'"):
        await answer(replica, raw((10**6,)))
    with pytest.raises(ContextTooLong, match="4090 tokens and max_tokens asks for 16 more") as caught:
        await answer(replica, raw((1,) * 4090))
    assert caught.value.param == "prompt"


async def test_a_full_context_can_still_be_scored() -> None:
    replica = Replica(engine := WritingEngine())
    scoring = GenerateRequest("r", (), Sampling(max_tokens=0), prompt=RawPrompt((1,) * 4095, echo=True))
    await answer(replica, scoring)
    assert engine.sampling.max_tokens == 0


async def test_tokens_of_conversations_and_prompts() -> None:
    replica = Replica(WritingEngine())
    asked = GenerateRequest("r", (Message("user", "Add."), Message("assistant", "3")), tools=TOOLS)
    whole = await replica.tokens(asked, True)
    closed = await replica.tokens(replace(asked, prompt_end="message"), False)
    assert whole.ids == replica._renderer.token_ids(asked.messages, TOOLS)
    assert len(whole.ids) == await replica.count_tokens(asked)
    assert whole.texts is not None
    assert (closed.texts, closed.context_tokens) == (None, 4096)
    assert whole.ids[: len(closed.ids)] == closed.ids
    assert await replica.text(whole.ids[len(closed.ids) :]) == "<|im_start|>assistant\n"
    assert (await replica.text(closed.ids)).endswith("3<|im_end|>\n")
    assert await replica.tokens(raw(""), False) == Tokens((), 4096)
    long = raw("word " * 5000)
    assert await replica.text((await replica.tokens(long, False)).ids) == "word " * 5000
    with pytest.raises(InvalidRequest, match=r"Set 'tokens\[1\]'"):
        await replica.text((1, 10**6))


async def test_the_end_of_the_prompt_and_the_salt_reach_the_engine() -> None:
    replica = Replica(engine := WritingEngine())
    turns = (Message("user", "Add [[x]] to 2."), Message("assistant", "It is "))
    asked = GenerateRequest("r", turns, prompt_end="continued", cache_salt="s")
    await replica.prefill(asked, "[[x]]")
    await answer(replica, asked)
    prefilled, prompt = engine.prompts
    assert replica._renderer.decode(prompt).endswith("<|im_start|>assistant\nIt is ")
    assert prompt[: len(prefilled)] == prefilled
    assert engine.salts == ["s", "s"]
    assert await replica.count_tokens(asked) == len(prompt)


async def test_a_tenants_prompts_and_prefills_share_no_cache_with_another_tenants() -> None:
    replica = Replica(engine := WritingEngine())
    a, b = (Tenant(name, isolated=True) for name in "ab")
    turns = (Message("user", "Add [[x]] to 2."),)
    for tenant in (a, a, b):
        asked = GenerateRequest("r", turns, cache_salt="mine", tenant=tenant)
        await replica.prefill(asked, "[[x]]")
        await answer(replica, asked)
    assert engine.salts == ["a/mine"] * 4 + ["b/mine"] * 2
    assert engine.tenants == ["a"] * 4 + ["b"] * 2
    assert len(replica._renderer._cache) == 2


async def test_tenants_that_share_caches_are_still_known_to_the_engine() -> None:
    replica = Replica(engine := WritingEngine())
    for name in "ab":
        await answer(replica, GenerateRequest("r", (Message("user", "Hi"),), tenant=Tenant(name)))
    assert (engine.salts, engine.tenants) == ([None, None], ["a", "b"])
    assert len(replica._renderer._cache) == 1


LONG = "The capital of France is Paris. " * 60_000  # two megabytes, half a million tokens


async def test_a_prompt_that_is_far_too_long_is_refused_by_a_part_of_it() -> None:
    replica = Replica(engine := WritingEngine())
    for asked, field in (
        (GenerateRequest("r", (Message("user", LONG),)), "messages"),
        (GenerateRequest("r", (Message("user", "x"), Message("tool", LONG, tool_call_id="c"))), "messages"),
        (GenerateRequest("r", (Message("user", "x"),), tools=(Tool("f", LONG),)), "messages"),
        (raw(LONG), "prompt"),
        (raw((1,) * 10**6), "prompt"),
    ):
        with pytest.raises(ContextTooLong) as caught:
            await answer(replica, asked)
        assert caught.value.param == field
        assert "at least " in str(caught.value) or "1000000 tokens" in str(caught.value)
        assert 4096 < caught.value.prompt_tokens <= 10**6
    assert engine.prompts == []
    assert replica._renderer._cache.size_bytes == 0


async def test_a_refused_prompt_is_not_kept() -> None:
    replica = Replica(WritingEngine())
    asked = GenerateRequest("r", (Message("user", "one two three " * 100),), Sampling(max_tokens=4000))
    with pytest.raises(ContextTooLong, match=r"The prompt has \d+ tokens and max_tokens asks for 4000 more"):
        await answer(replica, asked)
    assert replica._renderer._cache.size_bytes == 0
    await answer(replica, replace(asked, sampling=Sampling(max_tokens=10)))
    assert replica._renderer._cache.size_bytes > 0


async def test_long_references_are_shortened_until_they_fit() -> None:
    replica = Replica(engine := WritingEngine())
    references = tuple(Reference("p", f"{number} {LONG[:400_000]}") for number in range(3))
    asked = GenerateRequest("r", (Message("user", "Which?"),), references=ReferenceBlock(references, "Join them."))
    done = await answer(replica, asked)
    assert done.shortened == 3
    assert 2000 < len(engine.prompts[0]) < 4096


async def test_more_is_counted_than_the_context_holds_but_not_everything() -> None:
    replica = Replica(WritingEngine())
    replica._spec = replica._spec.model_copy(update={"max_counted_tokens": 20_000})
    some = "one two three " * 1000
    assert await replica.count_tokens(GenerateRequest("r", (Message("user", some),))) > 4096
    assert len((await replica.tokens(raw(some), True)).ids) > 4096
    with pytest.raises(
        InvalidRequest, match=r"Shorten 'messages': 'm' counts at most 20000 tokens, and there are at"
    ) as caught:
        await replica.count_tokens(GenerateRequest("r", (Message("user", LONG),)))
    assert not isinstance(caught.value, ContextTooLong)
    with pytest.raises(InvalidRequest, match="Shorten 'prompt'"):
        await replica.tokens(raw(LONG), False)


async def test_a_prefill_of_a_prompt_that_is_too_long_does_nothing() -> None:
    replica = Replica(engine := WritingEngine())
    await replica.prefill(GenerateRequest("r", (Message("user", f"{LONG}[[x]]"),)), "[[x]]")
    assert engine.prompts == []


async def test_a_callers_hang_up_ends_the_tokenization() -> None:
    replica = Replica(engine := WritingEngine())
    replica._spec = replica._spec.model_copy(update={"max_counted_tokens": 10**8})
    read = 0
    begun, gone = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    encode = replica._codec._texts._encode

    def held(text: str) -> Sequence[int]:
        nonlocal read
        read += len(text)
        loop.call_soon_threadsafe(begun.set)
        gone.wait(GUARD_S)
        return encode(text)

    replica._codec._texts._encode = held
    tasks = [asyncio.create_task(replica.tokens(raw(f"{number} {LONG}"), False)) for number in range(20)]
    await begun.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gone.set()
    await until(lambda: replica._worker.pending == 0)
    assert read < 20 * len(LONG) / 4
    assert engine.prompts == []
