"""A model without a replica, through Ray Serve: the server is ready, teams go on, and a request starts it."""

import time

import openai

from tests.serve.test_serving import ask
from tests.support.server import Server

STARTED_WITHIN_S = 120  # a replica of the scripted model takes some seconds


def test_a_request_starts_a_model_that_has_no_replica(server: Server, client: openai.OpenAI) -> None:
    assert client.get("../ready", cast_to=dict[str, object])["status"] == "ready"
    team = ask(client, "hello", "moa-rests")
    assert team.choices[0].message.content == "words of scripted-a"
    assert team.moa["degraded"] is True
    assert "'scripted-rests' (proposer, layer 1) was not available." in team.moa["reasons"]
    deadline = time.monotonic() + STARTED_WITHIN_S
    refused: list[openai.APIStatusError] = []
    while True:
        try:
            answer = ask(client, "hello", "scripted-rests")
            break
        except openai.APIStatusError as error:
            assert time.monotonic() < deadline, "it was never started"
            refused.append(error)
            time.sleep(0.5)
    assert answer.choices[0].message.content == "words of scripted-rests"
    for error in refused:
        assert (error.status_code, error.code) == (503, "engine_unavailable")
        assert error.response.headers["retry-after"] == "30"
    awake = ask(client, "hello", "moa-rests")
    assert awake.moa["degraded"] is False
