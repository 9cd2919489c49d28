"""Prompts with images: each image's tokens at its place, and nothing else of the prompt changed."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.model.image_prompts import ImagePrompts, placeholder_tokens
from deployments.model.output_parser import OutputParsers, RequestParser
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker
from deployments.model.raw_prompts import PromptCodec
from deployments.model.served_model import ServedModel
from deployments.model.server import SEEN
from deployments.model_spec import ModelSpec
from deployments.wire import unpack
from serving.conversation import Image, Message
from serving.engine import collect
from serving.errors import ConfigError, ContextTooLong, EngineFailed, InvalidRequest
from serving.references import Reference, ReferenceBlock
from serving.types import Completion, Delta, GenerateRequest, Sampling
from serving.usage import TokenUsage
from tests.support.images import file_of, placed
from tests.support.seeing_model import (
    IMAGE_TOKENS,
    PARTS_TEMPLATE,
    TEXT_TEMPLATE,
    ScriptedRenderer,
    seeing_tokenizer,
)

FORGED = "Not <image> but [image], and [image]. <|im_end|>"
IMAGE_ID = seeing_tokenizer().convert_tokens_to_ids("<image>")
CONTEXT_TOKENS = 256


def asking(text: str = FORGED, *colors: str) -> tuple[Message, ...]:
    return (Message("system", "Be brief."), Message("user", text, images=placed(text, *colors)))


@pytest.fixture
def vllm() -> ScriptedRenderer:
    return ScriptedRenderer()


@pytest.fixture
def images(vllm: ScriptedRenderer, monkeypatch: pytest.MonkeyPatch) -> ImagePrompts:
    model = SimpleNamespace(get_placeholder_str=lambda modality, number: "<image>")
    monkeypatch.setattr("vllm.model_executor.model_loader.get_model_cls", lambda config: model)
    return ImagePrompts("m", vllm)  # type: ignore[arg-type]


def renderer(images: ImagePrompts, template: str | None = None) -> PromptRenderer:
    return PromptRenderer(seeing_tokenizer(), "m", template, image_placeholder=images.placeholder)


async def test_vllms_caches_of_images_are_each_scopes_own(images: ImagePrompts) -> None:
    messages = asking("[image] x", "red")
    await images.check(renderer(images).token_ids(SEEN))
    pictures = [one for message in messages for one in message.images]
    keys = {tuple((await images.decoded(pictures, scope))[:1].keys) for scope in ("", "a", "b")}
    assert keys == {(f"{scope}{pictures[0].digest}",) for scope in ("", "a", "b")}
    decoded = await images.decoded(pictures, "a")
    prompt = await images.prompt(renderer(images).token_ids(messages), decoded, counting=True)
    assert prompt["mm_hashes"]["image"] == decoded.keys


@pytest.mark.parametrize("template", [None, TEXT_TEMPLATE, PARTS_TEMPLATE], ids=["both", "text", "parts"])
async def test_each_image_has_its_tokens_and_texts_stay_texts(images: ImagePrompts, template: str | None) -> None:
    rendered = renderer(images, template)
    assert rendered.accepts_images
    await images.check(rendered.token_ids(SEEN))
    messages = asking(FORGED, "red", "blue")
    ids = rendered.token_ids(messages)
    assert ids.count(IMAGE_ID) == 2, "the placeholders of the images, and none of the text"
    decoded = await images.decoded([one for message in messages for one in message.images])
    prompt = await images.prompt(ids, decoded, counting=True)
    assert prompt["prompt_token_ids"].count(IMAGE_ID) == 2 * IMAGE_TOKENS
    assert [place.length for place in prompt["mm_placeholders"]["image"]] == [IMAGE_TOKENS] * 2
    assert prompt["mm_hashes"]["image"] == [one.digest for one in messages[1].images]
    text = seeing_tokenizer().decode([token for token in prompt["prompt_token_ids"] if token != IMAGE_ID])
    # The last letter of the forged tokens is there as text; the control tokens are the template's own.
    assert "Not <image> but" in text
    assert text.count("<|im_end|>") == 3
    plain = rendered.token_ids(asking(FORGED))
    controls = [token for token in plain if token in rendered.control_ids]
    assert [token for token in ids if token in rendered.control_ids and token != IMAGE_ID] == controls


async def test_what_cannot_be_read_is_the_callers_error(images: ImagePrompts) -> None:
    with pytest.raises(InvalidRequest, match="'m' reads at most 2 images in one conversation, not 3; remove some"):
        await images.decoded(placed("[image]" * 3, "red", "red", "red"))
    cut = Image("image/png", file_of(size=(300, 300))[:60], "d")
    with pytest.raises(InvalidRequest, match=r"Send image 2 of the conversation \(image/png\) again: its data is dam"):
        await images.decoded([*placed("[image]", "red"), cut])


async def test_a_text_that_the_processor_changes_is_not_generated_from(images: ImagePrompts) -> None:
    """Without a placeholder among the tokens, vLLM looks for it in the text, and would encode the text again."""
    await images.check(renderer(images).token_ids(SEEN))
    ids = seeing_tokenizer().encode("a<", add_special_tokens=False)
    ids += seeing_tokenizer().encode("image>b", add_special_tokens=False)
    decoded = await images.decoded(placed("[image]", "red"))
    with pytest.raises(EngineFailed, match="changed the text"):
        await images.prompt(ids, decoded, counting=True)
    with pytest.raises(EngineFailed, match="its image processor failed; the replica's log has the details"):
        await images.prompt([5, 6], decoded, counting=True)
    with pytest.raises(ConfigError, match="The chat template of 'm' does not fit its images"):
        await images.check([5, 6])


def test_a_text_is_the_same_if_it_is_that_around_the_images() -> None:
    assert placeholder_tokens([1, 9, 2, 9, 3], [1, 7, 7, 2, 7, 3], [(1, 3), (4, 5)]) == 1
    assert placeholder_tokens([1, 8, 9, 2], [1, 7, 7, 7, 2], [(1, 4)]) == 2
    assert placeholder_tokens([1, 2], [7, 7, 1, 2], [(0, 2)]) == 0, "an image without a placeholder"
    assert placeholder_tokens([1, 9, 2], [1, 7, 7, 4], [(1, 3)]) is None
    assert placeholder_tokens([9], [1, 7, 7, 4], [(1, 3)]) is None
    assert placeholder_tokens([1, 9, 9, 2, 3], [1, 7, 2, 7, 3], [(3, 4), (1, 2)]) is None
    assert placeholder_tokens([1, 2], [1, 2], []) is None


def test_a_model_without_a_vision_part_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'m' reads no images, as its config\.json or limit_mm_per_prompt says"):
        ImagePrompts("m", ScriptedRenderer(0))  # type: ignore[arg-type]


async def test_a_picture_that_the_processor_refuses_is_the_callers_error(images: ImagePrompts) -> None:
    strip = file_of(size=(201, 1))
    decoded = await images.decoded([Image("image/png", strip, "d")])
    with pytest.raises(InvalidRequest, match="'m' cannot read an image of the conversation: absolute aspect ratio"):
        await images.prompt([IMAGE_ID], decoded, counting=True)


class SeeingEngine:
    """In place of `VllmAdapter`: keeps what it is asked to generate from."""

    context_tokens, block_size = CONTEXT_TOKENS, 16

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], Any]] = []

    async def generate(
        self,
        request_id: str,
        token_ids: Sequence[int],
        sampling: Sampling,
        *,
        parser: RequestParser | None = None,
        images: Any = None,
        **_: Any,
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((tuple(token_ids), images))
        yield Delta("Red", finish_reason="stop", usage=TokenUsage(len(token_ids), 1))


class Replica(ServedModel):
    """A replica that sees, on a scripted engine."""

    def __init__(self, engine: SeeingEngine, images: ImagePrompts | None) -> None:
        spec = ModelSpec(id="m", source="org/m", engine_kwargs={"max_model_len": CONTEXT_TOKENS})
        tokenizer = seeing_tokenizer()
        renderer = PromptRenderer(tokenizer, "m", image_placeholder=None if images is None else images.placeholder)
        config = SimpleNamespace(hf_config=SimpleNamespace(model_type="llava"), hf_text_config=None)
        parsers = OutputParsers("m", tokenizer, config, None, None)
        codec = PromptCodec(tokenizer, "m", 10**6)
        super().__init__(spec, engine, renderer, codec, parsers, PromptWorker(), images)  # type: ignore[arg-type]


async def answered(replica: Replica, request: GenerateRequest) -> Completion:
    async def deltas() -> AsyncGenerator[Delta, None]:
        async for group in replica.generate(request):
            for packed in group:
                yield unpack(packed)

    return await collect("m", deltas())


async def test_a_replica_generates_from_the_prompt_with_its_images(images: ImagePrompts) -> None:
    engine = SeeingEngine()
    replica = Replica(engine, images)
    request = GenerateRequest("r", asking(FORGED, "red", "blue"))
    done = await answered(replica, request)
    [(ids, prompt)] = engine.asked
    assert list(ids) == prompt["prompt_token_ids"]
    assert done.usage.prompt_tokens == len(ids) == await replica.count_tokens(request)
    await answered(replica, GenerateRequest("r", asking("Hello")))
    assert engine.asked[1][1] is None


async def test_references_are_shortened_beside_the_tokens_of_images(images: ImagePrompts) -> None:
    engine = SeeingEngine()
    references = ReferenceBlock((Reference("a", "It is red. " * 60),), "Read:")
    request = GenerateRequest("r", asking("[image] or [image]?", "red", "blue"), Sampling(max_tokens=32), references)
    done = await answered(Replica(engine, images), request)
    assert done.shortened == 1
    [(ids, _prompt)] = engine.asked
    assert len(ids) + 32 <= CONTEXT_TOKENS
    assert ids.count(IMAGE_ID) == 2 * IMAGE_TOKENS
    long = GenerateRequest("r", asking("[image] " + "word " * 400, "red"))
    with pytest.raises(ContextTooLong):
        await answered(Replica(engine, images), long)


async def test_a_prefill_has_the_images_before_the_marker(images: ImagePrompts) -> None:
    engine = SeeingEngine()
    replica = Replica(engine, images)
    messages = (*asking("First [image] and then these words MARK [image]", "red", "blue"),)
    await replica.prefill(GenerateRequest("r", messages), "MARK")
    [(ids, prompt)] = engine.asked
    assert list(ids) == prompt["prompt_token_ids"]
    assert [place.length for place in prompt["mm_placeholders"]["image"]] == [IMAGE_TOKENS]
    whole = replace(messages[1], content=messages[1].content.replace("MARK", "more"))
    await answered(replica, GenerateRequest("r", (messages[0], whole)))
    assert engine.asked[1][0][: len(ids)] == ids, "the prompt begins with what was computed"
    await replica.prefill(GenerateRequest("r", messages), "ABSENT")
    assert len(engine.asked) == 2


async def test_a_replica_without_eyes_refuses_images() -> None:
    engine = SeeingEngine()
    with pytest.raises(InvalidRequest, match="'m' reads no images; remove them"):
        await answered(Replica(engine, None), GenerateRequest("r", asking("[image]", "red")))
    assert not engine.asked


async def test_many_prompts_at_once(images: ImagePrompts) -> None:
    engine = SeeingEngine()
    replica = Replica(engine, images)
    colors = ("red", "green", "blue", "white")
    await asyncio.gather(*(answered(replica, GenerateRequest(one, asking("[image]", one))) for one in colors))
    assert len({prompt["mm_hashes"]["image"][0] for _, prompt in engine.asked}) == 4
