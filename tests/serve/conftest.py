"""One server with scripted models for all tests of the Serve layer."""

from collections.abc import Iterator

import openai
import pytest

from tests.support.server import Server, served


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with served("tests.support.scripted_app:scripted_app") as started:
        yield started


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as public:
        yield public
