"""Classes of inputs that ran code or reached inside vLLM: a caller sends text, numbers and images, and nothing else.

CVE-2025-62164 and CVE-2025-62372: embeddings as prompts, loaded as tensors. CVE-2025-32444 and others: pickles.
CVE-2025-61620: a caller's chat template. CVE-2025-62426: template arguments that replaced the tokenizer's own.
CVE-2025-48944: a tool's schema with a wrong type ended a worker. CVE-2026-22778: an error told an address in memory.
"""

import base64
import pickle
from typing import Any

import pytest

from serving.engines.scripted import ScriptedEngine
from tests.support.api import HELLO, app_of, chat, client_of


class Exploit:
    """Creates a file if it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


PICKLE = base64.b64encode(pickle.dumps(Exploit())).decode()
FOREIGN: dict[str, Any] = {
    "prompt_embeds": PICKLE,
    "chat_template": "{% for x in range(10**9) %}{% endfor %}",
    "kv_transfer_params": {"do_remote_prefill": True, "remote_host": "10.0.0.1"},
    "mm_processor_kwargs": {"num_crops": 10**9},
    "logits_processors": ["os.system"],
    "vllm_xargs": {"a": 1},
    "extra_args": {"a": 1},
    "lora_request": {"path": "/etc"},
    "guided_decoding_backend": "outlines",
    "documents": [{"text": "x"}],
    "request_id": "of-another",
    "api_base": "http://169.254.169.254/",
    "base_url": "http://169.254.169.254/",
    "api_key": "of-another",
    "user_config": {"model_list": []},
}


async def post(path: str, body: Any, engine: ScriptedEngine | None = None) -> tuple[int, str]:
    async with client_of(app_of({"m": engine or ScriptedEngine("m", thinking=True)})) as client:
        response = await client.post(path, json=body)
    return response.status_code, response.text


@pytest.mark.parametrize("field", FOREIGN)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": HELLO}),
        ("/v1/completions", {"model": "m", "prompt": "x"}),
        ("/v1/responses", {"model": "m", "input": "x"}),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": HELLO}),
        ("/tokenize", {"model": "m", "messages": HELLO}),
    ],
)
async def test_a_field_that_reaches_inside_an_engine_is_refused_by_name(field: str, path: str, body: Any) -> None:
    status, text = await post(path, {**body, field: FOREIGN[field]})
    assert status == 400
    assert field in text


ARGUMENTS = (
    *("tokenize", "chat_template", "conversation", "tools", "documents", "add_generation_prompt"),
    *("continue_final_message", "return_tensors", "return_dict", "padding", "truncation", "max_length", "messages"),
)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
@pytest.mark.parametrize("name", ARGUMENTS)
async def test_arguments_of_a_template_replace_nothing_of_the_renderer(name: str, path: str) -> None:
    engine = ScriptedEngine("m", thinking=True)
    status, text = await post(path, {"model": "m", "messages": HELLO, "chat_template_kwargs": {name: True}}, engine)
    assert status == 400
    assert name in text
    assert engine.requests == []


async def test_prompts_that_are_neither_text_nor_tokens_are_refused() -> None:
    for prompt in ({"prompt_embeds": PICKLE}, [[0.5, 0.25]], [1.5], [True], {"multi_modal_data": {}}, None, [None]):
        status, _ = await post("/v1/completions", {"model": "m", "prompt": prompt})
        assert status == 400


@pytest.mark.parametrize("data", [PICKLE, "AAAA", "", "!!!!", base64.b64encode(b"\x00" * 1000).decode()])
@pytest.mark.parametrize("kind", ["image/png", "image/jp2", "image/svg+xml", "video/mp4", "application/x-pickle"])
async def test_a_picture_that_is_none_tells_nothing_about_memory(data: str, kind: str) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    body = chat(messages=[{"role": "user", "content": [part]}])
    status, text = await post("/v1/chat/completions", body, ScriptedEngine("m", modalities=("text", "image")))
    assert status == 400
    assert "0x" not in text
    assert " object at " not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("kind", ["video_url", "input_audio", "audio_url", "image_embeds", "image_pil", "file"])
async def test_parts_of_other_kinds_are_refused_and_not_loaded(kind: str) -> None:
    part = {"type": kind, kind: {"url": "http://169.254.169.254/", "data": PICKLE}}
    status, text = await post("/v1/chat/completions", chat(messages=[{"role": "user", "content": [part]}]))
    assert status == 400
    assert kind in text


@pytest.mark.parametrize("schema", [{"type": 5}, {"type": "no-such"}, {"pattern": 5, "type": "string"}, 5, "x", []])
async def test_a_tool_whose_schema_is_none_ends_nothing_but_its_request(schema: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    status, _ = await post("/v1/chat/completions", chat(tools=[tool]), ScriptedEngine("m", tools=True))
    assert status in (200, 400)  # some say nothing that is wrong for certain before a grammar is made of them
