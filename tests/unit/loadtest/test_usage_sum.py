"""Usage of answers beside the records of the server."""

from pathlib import Path

import httpx
import pytest

from loadtest import usage_sum
from loadtest.errors import LoadError
from loadtest.usage_sum import compared, equal, requests_of, table, usage_in
from tests.support.records import echo, embedded, recording


async def test_all_dialects_of_a_server_are_summed_and_equal_its_records(tmp_path: Path) -> None:
    async with recording(embedded(tmp_path), {name: echo(name) for name in "abc"}) as (_, client):
        sums, found = await compared(client, ["a", "moa-lite"], 20, 50, 4)
    assert sums["requests"] == 20
    assert sums["completion_tokens"] > 20
    assert equal(sums, found)
    shown = table(sums, found).splitlines()
    assert shown[1].split() == ["requests", "20", "20"]


async def test_records_that_never_come_are_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_sum, "RECORDED_S", 1.0)
    store = embedded(tmp_path)
    monkeypatch.setattr(store.requests, "add", lambda record: None)
    async with recording(store, {name: echo(name) for name in "abc"}) as (_, client):
        sums, found = await compared(client, ["a"], 2, 50, 1)
    assert not equal(sums, found)


async def test_a_refused_request_is_an_error(tmp_path: Path) -> None:
    async with recording(embedded(tmp_path)) as (_, client):
        with pytest.raises(LoadError, match="404"):
            await compared(client, ["other"], 1, 50, 1)


async def test_a_server_that_wants_a_key_is_an_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": {"message": "Send an API key."}})

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://server") as client:
        with pytest.raises(LoadError, match=r"/v1/models was answered with 401: .*Send an API key"):
            await compared(client, [], 1, 50, 1)


async def test_a_server_without_records_is_an_error() -> None:
    async with httpx.AsyncClient(
        base_url="http://test", transport=httpx.MockTransport(lambda _: httpx.Response(503))
    ) as client:
        with pytest.raises(LoadError, match="/v1/usage"):
            await compared(client, ["a"], 1, 1, 1)


def test_tokens_that_anthropics_dialect_counts_apart_belong_to_the_prompt() -> None:
    found = usage_in({"usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4}})
    assert (found["prompt_tokens"], found["cached_tokens"]) == (7, 4)


def test_every_dialect_asks_every_model() -> None:
    asked = requests_of(["a", "b"], 10, 5)
    assert {(path, body["model"], "stream" in body) for path, body in asked} == {
        (path, model, False)
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions")
        for model in "ab"
    } | {("/v1/chat/completions", model, True) for model in "ab"}


def test_a_server_that_is_away_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_sum.main(["http://127.0.0.1:9"]) == 2
    assert "does not answer" in capsys.readouterr().err
