"""The replica of a model and its adapters: which of them answers, with which template, and what stops its start."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.llm import LLMConfig

from deployments.adapter_spec import AdapterSpec
from deployments.adapters import check_adapters, local_folders
from deployments.app import llm_config
from deployments.config import load_profile
from deployments.model.engine_server import EngineServer
from deployments.model.output_parser import OutputParsers
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker
from deployments.model.raw_prompts import PromptCodec
from deployments.model.served_adapters import load_adapters
from deployments.model.served_model import ServedModel
from deployments.model.server import ModelServer
from deployments.model_spec import ModelSpec
from serving.conversation import Message
from serving.errors import ConfigError, EngineUnavailable, InvalidRequest
from serving.types import Delta, GenerateRequest, RawPrompt, Sampling
from serving.usage import TokenUsage
from tests.support.adapters import write_adapter
from tests.support.thinking_model import thinking_tokenizer

TINY = load_profile("tiny")
QWEN = TINY.models[0]
CONFIG = SimpleNamespace(hf_config=SimpleNamespace(model_type="qwen2"), hf_text_config=None)
HELLO = GenerateRequest("r", (Message("user", "Hello"),), Sampling(max_tokens=4))
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\nAhoy! {{ message.content }}<|im_end|>\n{% endfor %}"
)


class AdaptedEngine:
    """In place of `VllmAdapter`: keeps which adapter was asked."""

    context_tokens, block_size, vocabulary_size = 4096, 1, 10**6
    tokenizer_mode, model_type = "auto", "qwen2"

    def __init__(self, hidden: int = 128) -> None:
        self.tokenizer = thinking_tokenizer()
        self.layer_sizes = {"hidden_size": hidden, "num_hidden_layers": 6}
        self.loaded: list[tuple[str, int, Path]] = []
        self.asked: list[tuple[Any, tuple[int, ...]]] = []

    async def add_adapter(self, name: str, number: int, folder: Path) -> str:
        self.loaded.append((name, number, folder))
        return f"lora {name}"

    def output_parsers(self, *_: Any, model: str, **__: Any) -> OutputParsers:
        return OutputParsers(model, self.tokenizer, CONFIG, None, None)

    async def generate(
        self, request_id: str, token_ids: Any, sampling: Sampling, *, lora: Any = None, **_: Any
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((lora, tuple(token_ids)))
        yield Delta("Hi", finish_reason="stop", usage=TokenUsage(len(token_ids), 1))


class Replica(ModelServer):
    """A replica on a scripted engine."""

    def __init__(self, models: dict[str | None, ServedModel]) -> None:
        self._models = models

    def __del__(self) -> None:  # type: ignore[override]  # Ray's is a coroutine, which nobody would await
        return


async def replica(engine: AdaptedEngine, folder: Path, **templates: str | None) -> Replica:
    """A replica of the model "m" with an adapter for each of `templates`."""
    adapters = []
    for name, template in templates.items():
        write_adapter(folder / name, chat_template=template)
        adapters.append(AdapterSpec(id=name, source=str(folder / name)))
    spec = ModelSpec(id="m", source="org/m", adapters=tuple(adapters), engine_kwargs={"max_model_len": 4096})
    parsers = engine.output_parsers(model="m")
    renderer, codec = PromptRenderer(engine.tokenizer, "m"), PromptCodec(engine.tokenizer, "m", 10**6)
    base = ServedModel(spec, engine, renderer, codec, parsers, PromptWorker())  # type: ignore[arg-type]
    files = check_adapters(spec, local_folders(spec))
    return Replica({None: base, **await load_adapters(spec, files, engine, base)})  # type: ignore[arg-type]


async def ask(asked: Replica, adapter: str | None, request: GenerateRequest = HELLO) -> None:
    async for _ in asked.generate(request, adapter):
        pass


async def test_the_adapter_that_is_named_answers(tmp_path: Path) -> None:
    engine = AdaptedEngine()
    asked = await replica(engine, tmp_path, sql=None, law=None)
    assert engine.loaded == [("sql", 1, tmp_path / "sql"), ("law", 2, tmp_path / "law")]
    for adapter in (None, "sql", "law"):
        await ask(asked, adapter)
    prompts = {prompt for _, prompt in engine.asked}
    assert [lora for lora, _ in engine.asked] == [None, "lora sql", "lora law"]
    assert len(prompts) == 1, "the template is the model's"
    await asked.prefill(HELLO, "llo", "law")
    assert engine.asked[-1][0] == "lora law"
    assert await asked.count_tokens(HELLO, "sql") == len(*prompts)
    assert (await asked.tokens(HELLO, False, "sql")).ids == await _ids(asked)
    assert await asked.text((72,), "sql") == await asked.text((72,))
    with pytest.raises(EngineUnavailable, match=r"'gone'.*no such adapter"):
        await ask(asked, "gone")


async def _ids(asked: Replica) -> tuple[int, ...]:
    return (await asked.tokens(HELLO, False)).ids


async def test_an_adapters_own_template_writes_its_prompts(tmp_path: Path) -> None:
    asked = await replica(engine := AdaptedEngine(), tmp_path, sql=None, ahoy=TEMPLATE)
    for adapter in (None, "sql", "ahoy"):
        await ask(asked, adapter)
    base, sql, ahoy = (engine.tokenizer.decode(prompt) for _, prompt in engine.asked)
    assert base == sql
    assert "Ahoy! Hello" in ahoy
    assert "Ahoy!" not in base


async def test_a_session_of_an_adapter_is_not_the_models(tmp_path: Path) -> None:
    """The model's own tokens of a turn are not in the adapter's prefix cache."""
    asked = await replica(AdaptedEngine(), tmp_path, sql=None)
    asked._models[None]._computed.put("session", [1, 2, 3])
    assert asked._models[None]._computed.cover("session", (1, 2))
    assert not asked._models["sql"]._computed.cover("session", (1, 2))


async def test_errors_name_the_adapter(tmp_path: Path) -> None:
    asked = await replica(AdaptedEngine(), tmp_path, sql=None)
    request = GenerateRequest("r", (), Sampling(max_tokens=1), prompt=RawPrompt((10**7,), "prompt"))
    for adapter, name in ((None, "m"), ("sql", "sql")):
        with pytest.raises(InvalidRequest, match=f"token id of '{name}'"):
            await ask(asked, adapter, request)
        with pytest.raises(InvalidRequest, match=f"'{name}'"):
            await ask(asked, adapter, GenerateRequest("r", (Message("user", "a b " * 5000),), Sampling(max_tokens=1)))


async def test_an_adapter_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    engine = AdaptedEngine(hidden=4096)
    with pytest.raises(ConfigError, match=r"The adapter 'sql' has 128 outputs for .* but 'm' has 4096"):
        await replica(engine, tmp_path, sql=None)
    assert engine.loaded == []
    with pytest.raises(ConfigError, match=r"folder of the adapter 'sql' cannot be used; .* chat_template: base"):
        await replica(AdaptedEngine(), tmp_path, sql="{% if %}")


def start(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec) -> LLMConfig:
    """The engine's configuration as the replica completes it before the engine starts."""

    class Stopped(Exception):
        pass

    async def stop(self: Any, config: LLMConfig, **_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(EngineServer.__base__, "__init__", stop)
    monkeypatch.setattr("deployments.model.server.socket.gethostname", lambda: "node-7")
    config = llm_config(TINY, spec)
    server = Replica({})
    with pytest.raises(Stopped):
        asyncio.run(ModelServer.__init__(server, config, spec))  # type: ignore[func-returns-value,arg-type]
    return config


def test_the_engine_starts_with_the_rank_of_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_adapter(tmp_path / "a", rank=4)
    write_adapter(tmp_path / "b", rank=20)
    adapters = tuple(AdapterSpec(id=name, source=str(tmp_path / name)) for name in "ab")
    spec = QWEN.model_copy(update={"adapters": adapters})
    assert start(monkeypatch, spec).engine_kwargs["max_lora_rank"] == 32
    given = {**QWEN.engine_kwargs, "max_lora_rank": 64}
    assert start(monkeypatch, spec.model_copy(update={"engine_kwargs": given})).engine_kwargs["max_lora_rank"] == 64
    assert "max_lora_rank" not in start(monkeypatch, QWEN).engine_kwargs


def test_a_missing_adapter_stops_the_replica_with_its_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = QWEN.model_copy(update={"adapters": (AdapterSpec(id="sql", source=str(tmp_path / "none")),)})
    with pytest.raises(ConfigError, match=r"with the adapter 'sql' does not exist on node node-7; correct its source"):
        start(monkeypatch, spec)
