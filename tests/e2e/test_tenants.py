"""Three keys on one real engine behind two orchestrators: what one asks tells another nothing, and costs it little."""

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from tests.support.server import Server, served

SEQUENCES = 8  # of the profile
ORCHESTRATORS = 2


@pytest.fixture(scope="module")
def tenants() -> Iterator[Server]:
    with served("deployments:moa_app", "profile=tests/support/tenants.yaml") as started:
        yield started


def client(server: Server, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=f"key-of-{key}", max_retries=0, timeout=120)


def cached(server: Server, key: str, text: str, **fields: object) -> int:
    """Cached tokens of the answer, asked over a new connection, which may reach any orchestrator."""
    with client(server, key) as public:
        answer = public.chat.completions.create(
            model="tiny-qwen", messages=[{"role": "user", "content": text}], max_tokens=4, extra_body=fields
        )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    return answer.usage.prompt_tokens_details.cached_tokens or 0


def long_text() -> str:
    """A prompt of many cache blocks that nobody has asked before."""
    return " ".join(f"{secrets.token_hex(2)} rain" for _ in range(200))


def test_a_keys_prompts_are_cached_for_itself_alone(tenants: Server) -> None:
    text = long_text()
    assert cached(tenants, "first", text) == 0
    own = [cached(tenants, "first", text) for _ in range(4 * ORCHESTRATORS)]
    assert min(own) > 500
    assert cached(tenants, "second", text) == 0  # as for a prompt that nobody has asked
    assert min(cached(tenants, "second", text) for _ in range(4 * ORCHESTRATORS)) == min(own)
    assert cached(tenants, "patient", text) == 0


def test_a_salt_of_ones_own_divides_ones_own_cache_further(tenants: Server) -> None:
    text = long_text()
    assert cached(tenants, "first", text, cache_salt="mine") == cached(tenants, "first", text) == 0
    assert cached(tenants, "first", text, cache_salt="mine") > 500
    assert cached(tenants, "second", text, cache_salt="mine") == 0


def test_a_prefill_is_found_by_the_call_that_it_is_for_and_by_no_other_key(tenants: Server) -> None:
    text = long_text()
    for key in ("first", "second"):
        with client(tenants, key) as public:
            answer = public.chat.completions.create(
                model="team",
                messages=[{"role": "user", "content": text}],
                max_tokens=16,
                extra_body={"moa": {"trace": True}, "ignore_eos": True},
            )
        assert answer.model_extra is not None
        cached = [
            agent["usage"]["prompt_tokens_details"]["cached_tokens"]
            for layer in answer.model_extra["moa"]["trace"]
            for agent in layer["agents"]
        ]
        *proposers, aggregator = cached
        assert max(proposers) < 100 < 500 < aggregator, cached  # some tokens begin each prompt of an agent


def test_no_key_overtakes_another_by_its_priority(tenants: Server) -> None:
    body = {"model": "tiny-qwen", "messages": [{"role": "user", "content": "Hi"}], "priority": -(2**31)}
    response = httpx.post(
        f"{tenants.url}/v1/chat/completions", json=body, headers={"x-api-key": "key-of-first"}, timeout=60
    )
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Set 'priority' to at least 0, not -2147483648."


@pytest.mark.timeout(300)
def test_beside_a_flood_a_keys_requests_come_next(tenants: Server) -> None:
    """Counted in the flood's answers, which end while one answer of the same length is computed."""
    callers, answers = 6 * SEQUENCES, []
    stop = threading.Event()

    def ask(public: openai.OpenAI, text: str) -> None:
        public.chat.completions.create(
            model="tiny-qwen",
            messages=[{"role": "user", "content": text}],
            max_tokens=48,
            extra_body={"ignore_eos": True},
        )

    def flood() -> None:
        while not stop.is_set():
            ask(first, long_text()[:60])
            answers.append(time.monotonic())

    with client(tenants, "first") as first, client(tenants, "second") as second, ThreadPoolExecutor(callers) as pool:
        crowd = [pool.submit(flood) for _ in range(callers)]
        try:
            while len(answers) < callers:
                time.sleep(0.1)
            between = []
            for _ in range(10):
                before = len(answers)
                ask(second, long_text()[:60])
                between.append(len(answers) - before)
        finally:
            stop.set()
        for one in crowd:
            one.result()
    # In the order of arrival it would be all that waited before, some 40.
    assert sorted(between)[-2] <= 2.5 * SEQUENCES
