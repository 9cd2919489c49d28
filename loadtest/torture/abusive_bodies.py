"""Corpus of abusive requests. Each must be refused with a 4xx status before it costs more than its own bytes."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.torture.stage import chat

CHAT, COMPLETIONS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
MODEL = "scripted-a"
BODY_LIMIT = 4 * 2**20
JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Abuse:
    """One abusive request."""

    name: str
    body: Callable[[], bytes]
    path: str = CHAT
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_TYPE)


def _chat(name: str, **fields: Any) -> Abuse:
    return Abuse(name, lambda: json.dumps(chat(MODEL, **fields)).encode())


def _schema(name: str, schema: Callable[[], Any]) -> Abuse:
    def body() -> bytes:
        wanted = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema()}}
        return json.dumps(chat(MODEL, response_format=wanted)).encode()

    return Abuse(f"schema: {name}", body)


def _raw(name: str, body: bytes | Callable[[], bytes], path: str = CHAT, **headers: str) -> Abuse:
    def made() -> bytes:
        return body if isinstance(body, bytes) else body()

    return Abuse(name, made, path, {**JSON_TYPE, **{key.replace("_", "-"): value for key, value in headers.items()}})


def _with(inside: bytes) -> bytes:
    """A chat request with `inside` as the value of `metadata`, which need not be JSON."""
    return b'{"model":"%s","messages":[{"role":"user","content":"x"}],"metadata":%s}' % (MODEL.encode(), inside)


def _image(url: str) -> Abuse:
    part = {"type": "image_url", "image_url": {"url": url}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": [part]}]}
    return Abuse(f"image: {url[:40]}", lambda: json.dumps(body).encode())


def _object(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def _nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = _object({"a": schema}, required=["a"])
    return schema


def corpus() -> Iterator[Abuse]:
    """All requests, each with a name of its own."""
    yield from _not_json()
    yield from _numbers()
    yield from _counts()
    yield from _structures()
    yield from _schemas()
    yield from _foreign()
    yield from _other_dialects()


def _not_json() -> Iterator[Abuse]:
    yield _raw("empty body", b"")
    yield _raw("null", b"null")
    yield _raw("a list", b"[]")
    yield _raw("a string", b'"x"')
    yield _raw("invalid UTF-8", b'{"model":"\xff\xfe"}')
    yield _raw("text behind the object", lambda: json.dumps(chat(MODEL)).encode() + b"{}")
    yield _raw("a key twice", b'{"model":"a","model":"scripted-a","messages":[{"role":"user","content":"x"}]}')
    yield _raw("200,000 open lists", lambda: _with(b"[" * 200_000))
    yield _raw("100,000 nested lists", lambda: _with(b"[" * 100_000 + b"]" * 100_000))
    yield _raw("100,000 nested objects", lambda: _with(b'{"a":' * 100_000 + b"1" + b"}" * 100_000))
    yield _raw("larger than the limit", lambda: _with(b'{"a":"' + b"x" * BODY_LIMIT + b'"}'))
    yield _raw("an integer of 1,000,000 digits", lambda: _with(b"9" * 1_000_000))
    yield _raw("a number of 1,000,000 decimals", lambda: _with(b"0." + b"3" * 1_000_000))
    yield _raw("text/plain", lambda: json.dumps(chat(MODEL)).encode(), content_type="text/plain")
    yield _raw("multipart", b"--x\r\n\r\n--x--", content_type="multipart/form-data; boundary=x")
    bomb = gzip.compress(b" " * 50 * 2**20)
    yield _raw("50 MiB of blanks as gzip", bomb, content_encoding="gzip")


def _numbers() -> Iterator[Abuse]:
    yield _chat("n = 1,000,000,000", n=10**9)
    yield _chat("n = 2**63", n=2**63)
    yield _chat("n = 0", n=0)
    yield _chat("max_tokens = -1", max_tokens=-1)
    yield _chat("max_tokens = 2**62", max_tokens=2**62)
    yield _chat("top_logprobs = 1,000,000", logprobs=True, top_logprobs=10**6)
    yield _chat("temperature = Infinity", temperature=float("inf"))
    yield _chat("temperature = NaN", temperature=float("nan"))
    yield _chat("temperature = 10**300", temperature=1e300)
    yield _chat("seed = 10**30", seed=10**30)
    yield _chat("priority = -2**40", priority=-(2**40))
    yield _chat("deadline of 10**9 s", moa={"deadline_s": 1e9})
    yield _chat("moa: 10**6 proposals", moa={"min_proposals": 10**6})


def _counts() -> Iterator[Abuse]:
    yield Abuse("100,000 messages", lambda: json.dumps({**chat(MODEL), "messages": 50_000 * _TURNS}).encode())
    yield Abuse("a prompt of 4 MB", lambda: json.dumps(chat(MODEL, "word " * 800_000)).encode())
    yield Abuse("3.9 MB of '<'", lambda: json.dumps(chat(MODEL, "< " * 1_950_000)).encode())
    yield Abuse("100,000 stop texts", lambda: json.dumps(chat(MODEL, stop=[f"s{n}" for n in range(100_000)])).encode())
    yield Abuse("a stop text of 1 MB", lambda: json.dumps(chat(MODEL, stop=["s" * 10**6])).encode())
    yield Abuse(
        "300,000 biases", lambda: json.dumps(chat(MODEL, logit_bias={str(n): 1 for n in range(300_000)})).encode()
    )
    yield Abuse(
        "100,000 metadata keys", lambda: json.dumps(chat(MODEL, metadata={str(n): "x" for n in range(10**5)})).encode()
    )
    yield Abuse("10,000 tools", lambda: json.dumps(chat(MODEL, tools=[_tool(f"f{n}") for n in range(10**4)])).encode())
    yield Abuse("a tool's name of 1 MB", lambda: json.dumps(chat(MODEL, tools=[_tool("f" * 10**6)])).encode())
    yield Abuse("a model's name of 1 MB", lambda: json.dumps(chat("m" * 10**6)).encode())
    yield Abuse("100,000 unknown fields", lambda: json.dumps(chat(MODEL) | {f"f{n}": 1 for n in range(10**5)}).encode())
    yield Abuse("100,000 parts of an unknown kind", lambda: json.dumps(_parts({"type": "x"}, 10**5)).encode())


def _structures() -> Iterator[Abuse]:
    """Bodies of 4 MB that are all structure."""

    def many(piece: bytes, count: int) -> Callable[[], bytes]:
        return lambda: _with(b"[" + piece * count + b"0]")

    yield _raw("1,300,000 empty lists", many(b"[],", 1_300_000))
    yield _raw("1,300,000 empty objects", many(b"{},", 1_300_000))
    yield _raw("1,000,000 short texts", many(b'"a",', 1_000_000))
    yield _raw("400,000 objects of one key with a blank", many(b'{"a" :1},', 400_000))
    yield _raw("2,000 times 1,000 nested lists", many(b"[" * 1000 + b"]" * 1000 + b",", 2000))
    yield _raw("2,000,000 numbers", many(b"1,", 2_000_000))
    yield _raw("65,000 objects of one key with a blank", many(b'{"a" :1},', 65_000))
    yield _raw("130,000 lists in lists of 100 levels", many(b"[" * 100 + b"]" * 100 + b",", 1300))


_TURNS = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]


def _tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": _object({})}}


def _parts(part: Any, count: int) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": [part] * count}]}


def _schemas() -> Iterator[Abuse]:
    text = {"type": "string"}
    yield _schema("2,000 properties", lambda: _object({f"p{n}": text for n in range(2000)}))
    yield _schema("an enum of 200,000", lambda: {"enum": [f"value {n}" for n in range(200_000)]})
    yield _schema("anyOf of 200 x 30", lambda: {"anyOf": [_object({f"p{m}": text for m in range(30)})] * 200})
    yield _schema("pattern [a-z]{1,5000}", lambda: {"type": "string", "pattern": "[a-z]{1,5000}"})
    yield _schema("400 levels", lambda: _nested(400))
    yield _schema("a $ref to itself", lambda: {"$ref": "#"})
    yield _schema("a circle of $ref", lambda: {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})
    yield _schema("a remote $ref", lambda: {"$ref": "http://169.254.169.254/latest"})
    yield _schema("not", lambda: {"not": {"type": "string"}})
    yield _schema("if", lambda: {"if": {"type": "string"}, "then": {"minLength": 3}})
    yield _schema("dependentRequired", lambda: _object({"a": text, "b": text}, dependentRequired={"a": ["b"]}))
    yield _schema("a lookahead", lambda: {"type": "string", "pattern": "(?=a)[a-z]+"})
    yield _chat("a regular expression of 5,000 repetitions", structured_outputs={"regex": "(a{1,5000}){1,5000}"})


def _foreign() -> Iterator[Abuse]:
    yield _image("file:///etc/passwd")
    yield _image("http://169.254.169.254/latest/meta-data/")
    yield _image("http://localhost:8265/api/jobs/")
    yield _image("gopher://127.0.0.1:6379/_FLUSHALL")
    yield _image("data:image/png;base64,AAAA")
    yield _chat("a chat template", chat_template="{{ 7 * 7 }}")
    yield _chat("a chat template in its arguments", chat_template_kwargs={"chat_template": "{{ 7 * 7 }}"})
    yield _chat("tokenize in the template's arguments", chat_template_kwargs={"tokenize": False})
    yield _chat("prompt embeddings", prompt_embeds="gASVAAAAAAAAAAA=")
    yield _chat("kv_transfer_params", kv_transfer_params={"do_remote_prefill": True})
    yield _chat("a logits processor", logits_processors=["os.system"])
    yield _chat("a request id of its own", request_id="another-request")


def _other_dialects() -> Iterator[Abuse]:
    def raw(name: str, path: str, **fields: Any) -> Abuse:
        return Abuse(name, lambda: json.dumps({"model": MODEL, **fields}).encode(), path)

    yield raw("completions: 100,000 prompts", COMPLETIONS, prompt=["x"] * 100_000)
    yield raw("completions: best_of = 1,000,000", COMPLETIONS, prompt="x", best_of=10**6)
    yield raw("completions: n = 1,000,000", COMPLETIONS, prompt="x", n=10**6)
    yield raw("completions: logprobs = 1,000,000", COMPLETIONS, prompt="x", logprobs=10**6)
    yield raw("completions: token -1", COMPLETIONS, prompt=[-1])
    yield raw("completions: token 2**40", COMPLETIONS, prompt=[2**40])
    yield raw("completions: prompt embeddings", COMPLETIONS, prompt="x", prompt_embeds="gASVAAAA")
    yield raw("responses: 100,000 items", RESPONSES, input=[{"role": "user", "content": "x"}] * 100_000)
    yield raw("responses: items of an unknown kind", RESPONSES, input=[{"type": "x"}] * 100_000)
    yield raw("responses: an earlier response", RESPONSES, input="x", previous_response_id="resp_of_another")
    yield raw("messages: 100,000 messages", MESSAGES, max_tokens=5, messages=_TURNS * 50_000)
    yield raw("messages: max_tokens = 10**30", MESSAGES, max_tokens=10**30, messages=_TURNS[:1])
