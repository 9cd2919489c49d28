"""The corpus of abusive bodies: each is refused with a 4xx status, an error object and few bytes."""

import pytest

from loadtest.torture.abusive_bodies import MODEL, Abuse, corpus
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, client_of

CORPUS = list(corpus())
CONTEXT_TOKENS = 32_768


@pytest.mark.parametrize("abuse", CORPUS, ids=lambda abuse: abuse.name)
async def test_an_abusive_body_is_refused(abuse: Abuse) -> None:
    engine = ScriptedEngine(MODEL, "an answer", context_tokens=CONTEXT_TOKENS, tools=True, thinking=True)
    async with client_of(app_of({MODEL: engine})) as client:
        response = await client.post(abuse.path, content=abuse.body(), headers=dict(abuse.headers))
    assert 400 <= response.status_code < 500, response.text[:300]
    assert response.json()["error"]["message"]
    assert len(response.content) < 4096
    assert engine.running == 0


def test_the_corpus_has_enough_bodies() -> None:
    assert len({abuse.name for abuse in CORPUS}) == len(CORPUS) >= 40
