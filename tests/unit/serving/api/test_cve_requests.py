"""Classes of confusion between callers: a caller's id is a word in its own response, and a key of nothing.

vLLM took `request_id` and `X-Request-Id` of a caller as the key of its engine's requests: a second one with the same id
ended or read the first. Log lines and headers had line ends of callers in them.
"""

import asyncio
import logging

import pytest

from serving.conversation import Message
from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest
from tests.support.api import app_of, chat, client_of, drive


def echo(request: GenerateRequest) -> str:
    last: Message = request.messages[-1]
    return f"answer to {last.content}"


@pytest.mark.parametrize("stream", [True, False])
async def test_two_requests_with_one_id_get_their_own_answers(stream: bool) -> None:
    engine = ScriptedEngine("m", echo, ttft_s=0.02)
    async with client_of(app_of({"m": engine}), **{"x-request-id": "the-same"}) as client:

        async def ask(text: str) -> str:
            body = chat(messages=[{"role": "user", "content": text}], stream=stream)
            return (await client.post("/v1/chat/completions", json=body)).text

        answers = await asyncio.gather(*(ask(f"question-{number}") for number in range(8)))
    for number, answer in enumerate(answers):
        found = {other for other in range(8) if f"question-{other}" in answer}
        assert found == {number}
    ids = [request.request_id for request in engine.requests]
    assert len(set(ids)) == 8
    assert not any("the-same" in one for one in ids)


@pytest.mark.parametrize(
    "given",
    ["", "a b", "a\tb", "x" * 129, "ä", "../../etc/passwd", "<script>", "a,b", "{}", "a;b", '"', "%0d%0aset-cookie"],
)
async def test_an_id_that_is_no_plain_word_is_not_sent_back(given: str) -> None:
    headers = [(b"x-request-id", given.encode("latin-1")), (b"content-type", b"application/json")]
    [head, _] = await drive(
        app_of({"m": ScriptedEngine("m")}), {"type": "http.request", "body": b"{}"}, headers=headers
    )
    [sent] = [value for name, value in head["headers"] if name == b"x-request-id"]
    assert sent.isalnum()
    assert len(sent) == 32


@pytest.mark.parametrize("given", ["a\nadmin logged in", "a\r\nb", "a\x1b[31mb", "a\x00b"])
async def test_no_text_of_a_caller_begins_a_line_of_the_log(given: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = ScriptedEngine("m", "fine")
    app = app_of({"m": engine}, log_requests=True)
    try:
        async with client_of(app) as client:
            for body in (chat(user=given, metadata={"k": given}), chat(model=given), chat(n=given), chat(**{given: 1})):
                await client.post("/v1/chat/completions", json=body)
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
        assert lines
        assert not any("\n" in line or "\r" in line or "\x1b" in line or "\x00" in line for line in lines)
    finally:
        logging.getLogger("serving.requests").handlers.clear()


async def test_a_user_of_one_request_is_no_part_of_another() -> None:
    engine = ScriptedEngine("m", echo)
    async with client_of(app_of({"m": engine})) as client:
        await client.post("/v1/chat/completions", json=chat(user="first", metadata={"k": "secret"}))
        second = await client.post("/v1/chat/completions", json=chat())
    assert "first" not in second.text
    assert "secret" not in second.text
    assert engine.requests[1].user is None
    assert engine.requests[1].metadata == {}


async def test_debugging_endpoints_of_vllm_do_not_exist() -> None:
    paths = (
        *(
            "/server_info",
            "/sleep",
            "/wake_up",
            "/is_sleeping",
            "/reset_prefix_cache",
            "/collective_rpc",
            "/invocations",
        ),
        *("/start_profile", "/stop_profile", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/load", "/ping"),
        *("/scale_elastic_ep", "/pause", "/resume", "/debug", "/config", "/key/generate", "/model/new", "/routes"),
        *("/api/jobs/", "/api/serve/applications/", "/-/routes", "/-/healthz", "/.env", "/redoc"),
    )
    async with client_of(app_of({"m": ScriptedEngine("m")})) as client:
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                assert (await client.request(method, path)).status_code == 404, path


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example", "file://"])
async def test_a_foreign_page_reads_nothing_unless_the_operator_says_so(origin: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    async with client_of(app_of({"m": ScriptedEngine("m")})) as client:
        for method, path in (("OPTIONS", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/ready")):
            response = await client.request(method, path, headers=headers)
            assert "access-control-allow-origin" not in response.headers  # without it, a browser refuses


async def test_a_form_of_a_foreign_page_asks_nothing() -> None:
    """A page may send these three content types to any server without asking it first."""
    engine = ScriptedEngine("m", "fine")
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    async with client_of(app_of({"m": engine})) as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            response = await client.post("/v1/chat/completions", content=body, headers={"content-type": kind})
            assert response.status_code == 415
    assert engine.requests == []
