"""Sessions through HAProxy, two orchestrators and a model with two replicas."""

import os
import signal
import time

import httpx
import openai

from tests.support.server import Server


def who(client: openai.OpenAI, session: str | None = None, **fields: str) -> int:
    """Process id of the replica that answers."""
    answer = client.chat.completions.create(
        model="scripted-twice",
        messages=[{"role": "user", "content": "who"}],
        extra_headers={"X-Session-ID": session} if session else {},
        extra_body=fields,
    )
    return int(answer.choices[0].message.content or "")


def test_a_session_stays_on_one_replica_from_every_orchestrator(client: openai.OpenAI) -> None:
    pids = {who(client, f"s{number}") for number in range(20)}
    assert len(pids) == 2
    for number in range(4):
        # Without the header, HAProxy spreads the requests over the orchestrators, which agree.
        assert len({who(client, prompt_cache_key=f"s{number}") for _ in range(8)}) == 1
        assert len({who(client, f"s{number}") for _ in range(4)}) == 1
    assert {who(client) for _ in range(40)} == pids


def test_a_session_whose_replica_is_lost_goes_on_with_another(server: Server, client: openai.OpenAI) -> None:
    lost = who(client, "s")
    os.kill(lost, signal.SIGKILL)
    found = [who(client, "s") for _ in range(10)]
    assert lost not in found
    deadline = time.monotonic() + 120
    while len({who(client) for _ in range(20)}) < 2:
        assert time.monotonic() < deadline, "the replica did not come back"
        time.sleep(0.5)
    assert httpx.get(f"{server.url}/ready").status_code == 200
