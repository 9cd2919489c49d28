"""Rows for the tests of the analyses, and a fake server whose models are right in one skill each."""

import json
import random
from collections.abc import Sequence

import httpx

from evaluation.rows import AgentRow, Row

MODELS = {"add": "sums", "spell": "words", "know": "facts"}  # each model and the skill that it always gets right


def agent(
    model: str, text: str, layer: int = 1, position: int = 0, role: str = "proposer", **fields: object
) -> AgentRow:
    values = {"outcome": "ok", "prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 0, **fields}
    return AgentRow(layer=layer, agent=position, role=role, model=model, text=text, **values)  # type: ignore[arg-type]


def row(
    arm: str, item: str, text: str, reference: str = "yes", trace: Sequence[AgentRow] = (), **fields: object
) -> Row:
    values = {
        "model": arm,
        "dataset": "data",
        "questions": ("?",),
        "scorer": "exact",
        "score": float(text == reference),
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "latency_s": 1.0,
        **fields,
    }
    return Row(arm=arm, item=item, answers=(text,), reference=reference, trace=tuple(trace), **values)  # type: ignore[arg-type]


def team_row(arm: str, item: str, proposals: dict[str, str] | Sequence[tuple[str, str]], final: str, by: str) -> Row:
    """A two-layer answer: proposals as (model, text), then `final` by the aggregator `by`."""
    pairs = list(proposals.items()) if isinstance(proposals, dict) else list(proposals)
    trace = [agent(model, text, position=i) for i, (model, text) in enumerate(pairs)]
    return row(arm, item, final, trace=[*trace, agent(by, final, layer=2, role="aggregator")])


def open_row(arm: str, item: str, text: str, **fields: object) -> Row:
    """An answer to an open question: no reference, no scorer, no score."""
    return row(arm, item, text, scorer=None, score=None, **fields).model_copy(update={"reference": None})


def arms_of_teams() -> list[Row]:
    """Two items, answered by two single models, a mixed team with two aggregators, and one model sampled."""
    rows = []
    for item, right in (("1", "a"), ("2", "b")):
        said = {model: "yes" if model == right else "no" for model in ("a", "b")}
        rows += [row(model, item, text) for model, text in said.items()]
        rows.append(team_row("mixed", item, said, "yes", by="a"))
        rows.append(team_row("mixed-by-b", item, said, said["b"], by="b"))
        rows.append(team_row("one", item, [("b", said["b"])], said["b"], by="a"))
        rows.append(team_row("self", item, [("b", said["b"])] * 2, said["b"], by="a"))
    return rows


LAYERED = row(
    "moa",
    "1",
    "yes",
    trace=[
        agent("a", "no"),
        agent("b", "yes", position=1),
        agent("c", "", position=2, outcome="timeout"),
        agent("a", "yes", layer=2),
        agent("b", "yes", layer=2, position=1),
        agent("b", "yes", layer=3, role="aggregator"),
    ],
)


def question_lines(count: int) -> str:
    """A `tiny` dataset as JSONL: `count` questions per skill; the answer to "sums 3?" is "sums3"."""
    rows = [
        {"id": f"{skill}-{i}", "skill": skill, "question": f"{skill} {i}?", "answer": f"{skill}{i}"}
        for i in range(count)
        for skill in MODELS.values()
    ]
    return "".join(json.dumps(entry) + "\n" for entry in rows)


class TeamServer:
    """An OpenAI-compatible server: three specialist models and recipes over them.

    A model is always right in its own skill and in 30% of the other questions; an aggregator finds the right answer
    among its references in 90% of the questions. Answers depend on the request alone, so that runs are repeatable.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.refuse_after: int | None = None  # number of answers before the server goes down
        self.status = 503
        self.versions = {"version": "1"}
        self.served = [*MODELS, "team", "self", "judge"]

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": name} for name in self.served]})
        if request.url.path == "/version":
            return httpx.Response(200, json=self.versions)
        body = json.loads(request.content)
        if self.refuse_after is not None and len(self.bodies) >= self.refuse_after:
            return httpx.Response(self.status, json={"error": {"message": "no replica is ready"}})
        self.bodies.append(body)
        return httpx.Response(200, json=self._completion(body))

    def _completion(self, body: dict[str, object]) -> dict[str, object]:
        model, messages = str(body["model"]), body["messages"]
        question = messages[-1]["content"]  # type: ignore[index]
        moa = body.get("moa") or {}
        if model == "judge":
            return _chat("Both fine. [[A]]" if "assistant-A" in question else "Good. [[8]]", 50, 5)
        if model in MODELS:
            return _chat(_said(model, question, 0), 10, 2)
        team = moa.get("models") or (list(MODELS) if model == "team" else ["add"] * 3)  # type: ignore[attr-defined]
        proposals = [_said(name, question, i) for i, name in enumerate(team)]
        right = _right(question)
        final = right if right in proposals and _chance(question, str(team)) < 0.9 else proposals[0]
        first = [
            _traced(1, i, "proposer", name, said) for i, (name, said) in enumerate(zip(team, proposals, strict=True))
        ]
        second = [_traced(2, 0, "aggregator", "know", final)]
        trace = [{"layer": 1, "agents": first}, {"layer": 2, "agents": second}]
        report = {"recipe": model, "degraded": False, "reasons": [], "trace": trace}
        return _chat(final, 10 * (len(team) + 3), 2 * (len(team) + 1)) | {"moa": report}


def _right(question: str) -> str:
    return question.rstrip("?").replace(" ", "")


def _chance(*parts: object) -> float:
    return random.Random(repr(parts)).random()


def _said(model: str, question: str, seed: int) -> str:
    knows = question.startswith(MODELS[model])
    return _right(question) if knows or _chance(model, question, seed) < 0.3 else f"{model} guesses {seed}"


def _traced(layer: int, position: int, role: str, model: str, text: str) -> dict[str, object]:
    usage = {"prompt_tokens": 10 * layer, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}}
    return {
        "agent": position,
        "role": role,
        "model": model,
        "outcome": "ok",
        "text": text,
        "usage": usage,
        "total_ms": 5.0,
    }


def _chat(text: str, prompt: int, completion: int) -> dict[str, object]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
