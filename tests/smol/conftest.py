"""One real server for all tests: the profile smol, started as a user starts it.

`make smol` fetches the weights. Without them these tests fail. `MOA_SMOL_URL` names a running server to use instead.
"""

import os
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from transformers import AutoTokenizer

from deployments.config import load_profile
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model_spec import ModelSpec
from tests.support.server import START_S, served


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    [found] = [model for model in load_profile("smol").models if model.id == "smol"]
    assert found.path is not None, f"The weights are missing; run: {found.fetch_command}"
    return found


@pytest.fixture(scope="session")
def tokenizer(spec: ModelSpec) -> Any:
    return AutoTokenizer.from_pretrained(spec.path)


@pytest.fixture(scope="session")
def renderer(spec: ModelSpec, tokenizer: Any) -> PromptRenderer:
    return PromptRenderer(tokenizer, spec.id, spec.chat_template)


@pytest.fixture(scope="session")
def client(spec: ModelSpec) -> Iterator[openai.OpenAI]:
    if given := os.environ.get("MOA_SMOL_URL"):
        yield _client(given.rstrip("/"))
        return
    with served("deployments:moa_app", "profile=smol") as server:
        yield _client(server.url)


def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=240)


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(START_S + 240))  # the first test of the server waits for its start
