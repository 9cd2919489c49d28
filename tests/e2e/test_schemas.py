"""Rules for texts on real engines: a grammar that takes long to compile costs its own caller only."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

# Minutes on any machine: each of the patterns takes seconds.
SLOW = {f"p{place}": {"type": "string", "pattern": f"^(.?a?){{128}}b{{{128 - place}}}$"} for place in range(20)}
SIMPLE = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


def body(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "model": "tiny-qwen",
        "messages": [{"role": "user", "content": "What is 1 + 2?"}],
        "max_tokens": 40,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        **more,
    }


async def test_a_slow_schema_does_not_stop_the_streams_of_others(base_url: str) -> None:
    url = f"{base_url}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=240) as http:
        for attempt in range(5):  # the deadline of a grammar may pass meanwhile on a busy machine
            name = f"x{attempt}"  # schemas that nobody has compiled, both
            slow = asyncio.create_task(
                http.post(url, json=body({"type": "object", "properties": {**SLOW, name: {"type": "string"}}}))
            )
            await asyncio.sleep(1)  # it is being compiled
            schema = {"type": "object", "properties": {name: {"enum": ["a", "b"]}}, "required": [name]}
            async with http.stream("POST", url, json=body(schema, stream=True)) as answer:
                events = [line async for line in answer.aiter_lines() if line.startswith("data: {")]
            passed = not slow.done()
            chunks = [json.loads(event.removeprefix("data: ")) for event in events]
            text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
            assert json.loads(text)[name] in ("a", "b")
            refused = await slow
            if passed:
                break
        assert passed, "the stream waited for the slow schema each time"
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert error["message"].endswith("takes more than 5 s to compile.")


def test_hang_ups_leave_nothing_that_compiles(base_url: str, client: openai.OpenAI) -> None:
    url = f"{base_url}/v1/chat/completions"
    for place in range(10):  # more than are compiled at the same time
        schema = {"type": "object", "properties": {**SLOW, f"left{place}": {"type": "string"}}}  # unlike those above
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=body(schema), timeout=httpx.Timeout(60, read=0.3))
    answer = client.chat.completions.create(**body(SIMPLE))
    assert json.loads(answer.choices[0].message.content or "")["ok"] in (True, False)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"regex": "(a"}, "structured_outputs.regex"),
        ({"grammar": "root ::= missing"}, "structured_outputs.grammar"),
        ({"json": {"type": "object", "minProperties": 1, "properties": {}}}, "structured_outputs.json"),
    ],
)
def test_a_rule_without_a_grammar_is_the_callers_error(client: openai.OpenAI, rule: dict[str, Any], path: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="tiny-qwen",
            messages=[{"role": "user", "content": "x"}],
            extra_body={"structured_outputs": rule},
            max_tokens=5,
        )
    assert caught.value.param == path
