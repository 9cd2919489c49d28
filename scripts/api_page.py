"""Text of docs/api.md, in which `scripts.generate_docs` puts the tables of fields."""

API_PAGE = """# The API

OpenAI's chat completions API, for every model and every recipe. Any OpenAI client works with `base_url` set to
`http://HOST:PORT/v1`. The other dialects have pages of their own: [completions.md](completions.md),
[responses.md](responses.md) and [messages.md](messages.md).
[embeddings.md](embeddings.md) is about models that embed or rank.

| path | answer |
|---|---|
| `POST /v1/chat/completions` | a chat completion, streamed or whole |
| `POST /v1/completions` | continuations of prompts, with their log probabilities: [completions.md](completions.md) |
| `POST /tokenize`, `/detokenize` | a model's tokens, at vLLM's paths: [completions.md](completions.md#tokens) |
| `POST /v1/responses` | OpenAI's Responses API, as Codex CLI uses it |
| `POST /v1/messages`, `/v1/messages/count_tokens` | Anthropic's Messages API, as Claude Code uses it |
| `POST /v1/embeddings` | vectors of texts, by a model that embeds: [embeddings.md](embeddings.md) |
| `POST /v1/rerank`, `/rerank`, `/v2/rerank` | documents by their relevance, by a model that ranks or embeds |
| `/v1/files`, `/v1/batches` | files of requests, answered in the background: [service-batches.md](service-batches.md) |
| `GET /v1/models` | models, recipes, aliases: `id`, `kind`, `parent`, `task`, context, `modalities`, abilities, price |
| `GET /v1/models/ID` | one of them; of a recipe also `settings`: JSON schemas of what a request may change in `moa` |
| `GET /health` | 200 while the process runs |
| `GET /ready` | 200 if every engine is warm and answers, else 503; callers with a key read a reason for each engine |
| `GET /version` | versions of the server and its libraries; needs a key where one is set |
| `GET /metrics` | metrics in Prometheus' format, without a key, if the setting `metrics` says so: [below](#metrics) |
| `GET /console` | a web page that shows the team at work, without a key; `GET /` and `/console/` send browsers there |
| `GET /docs`, `/openapi.json` | this API as a page and as OpenAPI 3.1, without a key and without the internet |

If `api_key` or `keys` is set ([keys.md](keys.md)), all paths below `/v1`, `/tokenize` and `/detokenize` require the
header `Authorization: Bearer KEY` or `x-api-key: KEY`. A key is given once: a header that comes twice or is empty, and
two headers with different keys, are refused with 401, whether one of the keys is right or not. `/health` and `/ready`
answer probes without a key. What `/ready`, `/version` and `/openapi.json` tell of models and versions needs the key,
unless `public_status` is on. Every response has the header `x-request-id`, which also appears in the server's log: the
client's own value if that has at most 128 letters, digits and `._:-`, otherwise a new one. Where requests are
[traced](tracing.md), responses below `/v1` have the header `traceparent`. Errors: [errors.md](errors.md).

HEAD is answered as GET without a body, OPTIONS with the methods of the path. Web pages of other origins may read the
answers in a browser if the setting `cors_origins` allows their origin. A page that sends a key shows it to everyone who
uses the page: allow `*` only on a server without a key, or whose users bring keys of their own.

An alias (setting `aliases`, such as `{{gpt-4o: moa-lite}}`) is another id of a model or recipe. It is accepted wherever
one is: as `model` in every dialect, in the path of `/v1/models/ID`, and in `moa` for `recipe` and for the models of
agents. The answer's `model` is what the request sent, as programs look that name up; `/v1/models` lists each alias
with the id it stands for in `alias_of`. The request log and the metrics have the real id. The server does not start
with an alias of an unknown id or of another alias, or with the name of a model or recipe.

## Fields

Every field is applied or refused by name; none is ignored. `null` means "not given", in nested objects, too. A key that
an object of the body has twice is refused.

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

OpenAI's other fields are refused, except for values that ask for nothing: {neutral}.

## Tools

A model or recipe that supports tools may answer with tool calls: `message.tool_calls` has them, `message.content` is
null if there is no text, and `finish_reason` is `tool_calls`. The client runs them and sends the assistant's message
and one `tool` message per call back; `examples/tools.py` is such a client. `arguments` is the text that the model
wrote, which need not be valid JSON. A request with `tools` to a model that does not support them is refused.

| rule | else 400 with `param` |
|---|---|
| names have 1 to 64 letters, digits, `_` and `-`, and differ | `tools[0].function.name` |
| `parameters`: its `type` is `object` or absent | `tools[0].function.parameters.type` |
| `parameters`: `properties` is an object, `required` a list of strings | `tools[0].function.parameters.required` |
| `parameters` and `chat_template_kwargs` have at most 100 levels | `tools[0].function.parameters` |
| `tool_choice` other than `none` has `tools`, and names one of them | `tool_choice`, `tool_choice.function.name` |
| the `arguments` of a call in the history are a string | `messages[1].tool_calls[0].function.arguments` |
| a `tool` message has the id of a call of the assistant's message before it | `messages[2].tool_call_id` |

In a stream, the first piece of a call in `delta.tool_calls` has `index`, `id`, `type` and the function's `name`; later
pieces have `index` and more `arguments`.

## vLLM's extensions

The fields of vLLM's own API have vLLM's names and meanings. Token ids are those of the model that writes the answer; an
id outside of its vocabulary is refused with its place, such as `stop_token_ids[1]`. The older fields `guided_json`,
`guided_regex`, `guided_choice` and `guided_grammar` are refused with the names of the new ones in `structured_outputs`.

With `continue_final_message` the answer is the rest of the last message, white space at its end included, and is text
alone: it has no reasoning and no tool calls. The model's chat template must be able to write an assistant's message at
the end; the formats of gpt-oss, Kimi K3 and Inkling are refused.

| of a recipe | honoured by |
|---|---|
| `bad_words`, `structured_outputs` and others | agents whose text may be the answer: also voters and ranked proposers |
| `logit_bias` and other token ids | the same, if one model alone writes answers, without other fallbacks |
| `continue_final_message` | the same; other agents do not read the message. `debate` refuses it |
| `cache_salt` | all agents |

External endpoints are sent `logit_bias` and JSON schemas. The other fields are refused, since an endpoint might ignore
them.

## Schemas

A grammar holds the answer to a JSON schema (`response_format`, `structured_outputs.json`, and their names in the other
dialects), and to `structured_outputs.regex`, `choice` and `grammar`; it holds calls to the `parameters` of tools with
`strict: true`. These rules are checked before any engine is asked, for all models and recipes alike. The error has the
path of the keyword, such as `response_format.json_schema.schema.properties.x.not`. The limits are settings of
`api.schemas`; the schema of each tool is within them, strict or not:

| setting | default | meaning |
|---|---|---|
{schemas}

A keyword is held or refused with 400. Held are:

| | keywords |
|---|---|
| any | `type`, also a list; `anyOf`; `allOf` with one entry; `$defs` |
| values | `enum` and `const`, with `type` alone beside them |
| `$ref` | to a schema of the same document, also one around it |
| `oneOf` | entries distinguished by types, `const`, `enum`, a required property with these, or a `discriminator` |
| strings | `minLength`, `maxLength`, `pattern`, and these formats: |
| dates | `date`, `time`, `date-time`, `duration` |
| names | `email`, `hostname`, `ipv4`, `ipv6`, `uri`, `uri-reference`, `uri-template`, `uuid` |
| pointers | `json-pointer`, `relative-json-pointer` |
| numbers | `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum` |
| integers | also `multipleOf`, without a bound |
| arrays | `items`, `prefixItems`, `unevaluatedItems`, `minItems`, `maxItems` |
| objects | `properties`, `required`, `additionalProperties`, `unevaluatedProperties` |
| their number | `minProperties`, `maxProperties` |
| their names | without `properties`: `propertyNames`, or one pattern in `patternProperties` |

`not`, `if`, `dependentRequired`, `dependentSchemas`, `contains`, `uniqueItems`, `$dynamicRef`, `$recursiveRef`, `allOf`
with several entries, keywords beside `$ref`, `anyOf`, `oneOf` or `allOf`, references to other documents, and schemas
whose every value would contain itself are refused. So are lookaheads, lookbehinds, backreferences, word boundaries and
classes such as `\\p{{L}}` in patterns, and characters in them that JSON writes with a backslash. `minLength` and
`maxLength` beside `pattern` or `format` are refused unless these imply them. Everything else is an annotation, without
an effect on the answer: `title`, `description`, `default`, `examples`, `nullable`, other formats, and `format` beside
`pattern`. A pattern is matched with the whole text, as if it began with `^` and ended with `$`. An object has no other
properties than the listed ones unless `additionalProperties` allows them, and they come in the order of the schema.

Tools without `strict: true` may have any schema. Where they become part of a grammar nevertheless (`tool_choice`
required or a function, or a model with `strict_tools`), a tool whose schema has a keyword that is not held is called
with any JSON object.

A model's replica compiles the grammar in a process of its own before its engine does: once for equal rules, with the
deadline `grammar_timeout_s` of the model (5 s), and not longer than the caller waits. Keys have theirs compiled in
turns; a grammar that waits as long as the deadline for its turn is refused with 429. A grammar beyond the deadline,
or one that would cost the engine more than `grammar_token_s` (0.05 s) of computing for a token, is refused with 400.
No stream and no other grammar waits for this. The engine then compiles the grammar once more; until it has, other
grammars that are new to the engine may wait. An external endpoint compiles the schemas that it is sent itself, and
refuses what it does not hold. [Performance](performance.md#grammars) has the cost of the rules at the limits.

## Images

Content parts of the type `image_url` are images, in messages of the roles `user` and `tool`. They reach the models that
read them: those with `image` in the `modalities` of `/v1/models`. A recipe's modalities are those of any of its models.
A model that reads text only has `[image]` in the place of an image, whether it is asked by its own id or by a recipe.
The answer says who saw the images: `moa.reasons` has a sentence, and each agent of the trace the number of `images`. It
is degraded if no model saw them.

`url` is a data URL, `data:image/png;base64,...`, of a PNG, JPEG, WebP or GIF; of an animation the first picture counts.
`detail` is a hint, which is sent on to external endpoints. The limits are settings of `api.images`:

| setting | default | meaning |
|---|---|---|
{images}

Media type, base64, size, format and dimensions are checked before any engine is asked; the error names the part, such
as `messages[0].content[1].image_url.url`. Other URLs are fetched once, by the API itself, and only from
`allowed_hosts`: redirects to other hosts and hosts with private addresses are refused. Proposers, judges and critics
read the results of tools as short text, in which an image is `[image]`; the final agent sees it. Parts with audio,
video or files are refused by name.

## Thinking

Reasoning is returned apart from the text, as `reasoning_content` and, with the same value, as `reasoning`: in
`message` or, in a stream, in `delta`. `include_reasoning: false` leaves it out. It is counted in
`usage.completion_tokens` and in `usage.completion_tokens_details.reasoning_tokens`. A model that does not think accepts
`reasoning_effort: "none"` and `thinking_token_budget: 0`, and refuses other values. `chat_template_kwargs` may not
contain what the server sets, such as `chat_template` and `tools`.

Reasoning may be sent back in an assistant's message. The model's chat template decides if it is used.

## Streams

A stream consists of a chunk with the role, chunks with pieces of reasoning, of text and of tool calls, a chunk with the
finish reason, a chunk with the usage if `stream_options: {{"include_usage": true}}` is set, and `data: [DONE]`.

The response starts with the first piece of the answer, or after `first_item_wait_s` without one. An error before that
has its own HTTP status. An error after it is sent as an event in the stream: `data: {{"error": ...}}`. While there is
nothing to send, for instance while proposers run, a comment (`: keep-alive`) is sent every `keep_alive_s`. If the
client disconnects, all calls of its request are cancelled.

With `stream_options: {{"continuous_usage_stats": true}}` every chunk has the usage so far, as in vLLM. It is null until
the first count is known; the chunk with the finish reason and those after it have the final numbers. It counts the
same as `usage` at the end, over all `n` choices. External endpoints are not asked for it: of their answers it stays
null until the end. Without `include_usage` there is no chunk without choices at the end.

## Usage

`usage` counts the call that wrote the answer, so that context meters and load tools see one answer. The sum over all
agents of a recipe is in `moa.usage`: in the whole answer, or in the last chunk of every stream, also without
`include_usage`. With the setting `usage: team` the sum is in both. A single model's `usage` is that of its call, all
`n` choices included.

| the answer is | the call that wrote it |
|---|---|
| written by the final agent | its call, or that of its fallback; the failed agents are in the sum only |
| chunks of `staircase` | the sum of the aggregator's calls |
| a proposal: of `vote`, of `rank`, an agreement of `adaptive`, a draft that won a vote | the proposer's call |
| the first answer of `cascade`; one that the critic of `debate` accepts | that of the first model; of the solver |
| that of a model or recipe that took over (`auto`, `cascade`) | as in that recipe |
| the first proposal, because the aggregation failed on every model | the proposer's call |
| a proposal of an earlier request of the user turn; a text of a custom recipe | none: `usage` is the sum |

`prompt_tokens` include the references that the agent read: they were computed, and count against its context.
Identical agents are one call with several samples; if one of them is the answer, `usage` counts them all. Other
attempts of a hedged or retried call are not in it. An unknown count is null in `usage` and in the trace, and left out
of the sum; a reason then names the agent. The metrics, the request log and costs count the sum.

## The `moa` object

`"moa": {{"trace": true}}` in the request (`extra_body` in OpenAI's Python client) adds a trace to the answer, or to the
last chunk of a stream. A recipe's answer has the `moa` object in any case, a single model's only with a trace or with
images. It has reasons if the answer is degraded, an agent was replaced by another in its slot (`refill`), the request
has images, proposers voted on tool calls, references were reused, one model answered a
[small task](recipes.md#small-tasks), or a token count is unknown. A degraded answer that is not streamed also has the
header `x-moa-degraded: true`.

```
"moa": {{
  "recipe": "moa-lite",
  "degraded": true,
  "reasons": ["..."],                one sentence per degradation, refill, vote, unknown token count, reuse, small task
  "usage": {{...}},                    sum over all agents whose tokens are known
  "cache": "stored", "cached": false,   only if the response cache is on for the request
  "trace": [                         only if requested
    {{"layer": 1, "agents": [
      {{"agent": 0, "role": "proposer", "model": "...", "outcome": "ok", "text": "...", "usage": {{...}},
       "started_ms": 0.4, "elapsed_ms": 64.2, "queue_ms": 0.0, "ttft_ms": 9.1, "total_ms": 61.0,
       "error": null, "hedged": false, "shortened": 0}}]}}]
}}
```

| field of an agent | meaning |
|---|---|
| `agent` | position in the layer; two entries with one position: the first failed, and another model took its slot |
| `outcome` | `ok`, `empty`, `failed`, `timeout`, `straggler` or `cancelled` |
| `started_ms` | start of the agent's call, counted from the start of the request |
| `elapsed_ms` | duration of the agent's call, measured by the orchestrator |
| `queue_ms`, `ttft_ms`, `total_ms` | times measured by the agent's engine; null if it reports none or gave no answer |
| `error` | reason for an `outcome` other than `ok` |
| `hedged` | true if the answer came from a second attempt |
| `shortened` | number of references that were cut to fit the model's context |
| `images` | number of images in the agent's prompt; absent if it has none |
| `reasoning`, `tool_calls` | the agent's reasoning and tool calls (of a proposer: its draft); absent if it has none |

`elapsed_ms` minus `total_ms` is the time spent on the way to the engine and back. The settings of a recipe that a
request may override in the `moa` object are listed in [recipes.md](recipes.md).

### Response cache

`"moa": {{"cache": {{"ttl_s": 300}}}}` returns a stored answer if an equal request had one, and keeps a new answer for
300 seconds; `"moa": {{"cache": "off"}}` switches off what the recipe or the server has set. All dialects, models and
recipes have it. The header `x-moa-cache` says `hit`, `miss` or `stored`, and so does `moa.cache` of the answer, or of
the last chunk of a stream. With `"cached": true` no engine was asked: the usages are those of the stored answer and
cost nothing again. [service-cache.md](service-cache.md) says which requests are equal and which answers are stored.

### Events

`"moa": {{"events": true}}` adds the events of the run to a stream; `"events": "text"` also the proposals' text while it
is written. It needs a recipe and `stream: true`, and is refused otherwise. Events come in chunks with an empty `delta`,
as `"moa": {{"events": [{{"event": "agent_started", "at_ms": 0.4, ...}}]}}`; clients that do not know them see an empty
piece. They change no answer. A watched proposer is streamed, so that its call is not shared with an identical one, and
the response starts with the first event: an error after that is an event in the stream.

| event | fields beside `event` and `at_ms` (milliseconds after the start) |
|---|---|
| `run_started` | `recipe` |
| `layer_started` | `layer`, `agents` (their number), `needed` (usable proposals that are enough) |
| `agent_started` | `layer`, `agent`, `model`, `role`, `answers` (true: its text is the answer of the stream) |
| `agent_first_token` | `layer`, `agent`, `model`, `role` |
| `agent_text` | `layer`, `agent`, `text` or `reasoning` or both: a piece of a proposal; with `"events": "text"` only |
| `agent_retried` | `layer`, `agent`, `model`, `role`: its replica was lost, and the text so far is void |
| `agent_hedged` | `layer`, `agent`, `model`, `role`: a second attempt started |
| `agent_finished` | `layer`, the fields of an agent in the trace; `text` for proposals and `"events": "text"` only |
| `agent_refilled` | `layer`, `agent`, `role`, `model` (asked now), `replaces` |
| `layer_finished` | `layer`, `usable` (proposals), `stragglers` (agents that were cancelled) |
| `vote_ended` | `layer`, `outcome` (a sentence), `agreed` |
| `reason_added` | `reason`, `degrades` |

### Proposals as reasoning

`"moa": {{"show": "reasoning"}}` shows the proposals of a recipe as `reasoning_content` and `reasoning`, each under a
line with its model, role and layer, before the answer begins. Interfaces that fold reasoning away show the team so. A
stream has one proposal while it is written and the others as they end; a whole answer has all in its message. `usage`
does not count them as reasoning, and the trace keeps the final agent's own. `include_reasoning: false` with it is
refused. The default is `"show": "answer"`.

### Preview

`"moa": {{"preview": true}}` shows the proposal that begins first as reasoning, token by token, as soon as a single
model would answer. The team's answer follows, and is the same as without a preview. It works in streams and in whole
answers of `/v1/chat/completions` (`reasoning_content`), `/v1/responses` (a reasoning item) and `/v1/messages` (a
thinking block); `/v1/completions` has no reasoning and refuses it.

```
*Preview by tiny-qwen*

28

*End of the preview.*
```

- If the agent of the preview fails, the proposal that began next follows it.
- Of `debate` the preview is the solver's first answer, of `cascade` the first model's, of `auto` that of the recipe
  that answers. The field has no effect if no agent proposes a whole answer: with a plan of `plan`, in a small task, and
  in a loop of tool calls that reuses its references. A single model refuses it.
- Send the conversation back as it is: the preview is removed from the reasoning before any agent reads it.
- `usage` counts the proposal once, as that of any proposer. The reasoning of the trace is the final agent's own.
- It is refused together with `"show": "reasoning"`, `include_reasoning: false` and `cache`.

## Metrics

`GET /metrics` answers on the API's port, for tools that look there, such as aiperf or a Prometheus (`make watch`,
[operations.md](operations.md#watching-a-local-server)). The setting `metrics` turns it on or off; without it, it is on
if the server was started on this machine, listens on its loopback interface only and requires no key, and off on a
cluster and with another `host`. It is the Prometheus text of Ray's agents on all nodes of the cluster, joined, so that
every orchestrator answers with the same. It has the metrics of this server (`ray_moa_...`), of the engines
(`ray_vllm_...`, which vLLM's own server calls `vllm:...`), of Ray Serve (`ray_serve_...`) and of the GPUs' utilization
and memory, and none of Ray's own processes or of the rest of its machines. The agents collect every few seconds, so
that a request shows only then. A node that does not answer is named in a comment; if none does, the answer is 503. A
page is reused for 0.25 s.

It needs no key, even if `/v1` does, because these tools send none. It has ids of models and recipes, counts and times,
never texts or keys, for everyone who can reach the port. Prometheus itself should read the agents' ports, as the chart
sets it up.

## The console

`GET /console` is a web page: a chat with one column per layer, in which each agent's text appears while it is written.
Then come a waterfall of the trace (queue, prefill, decode, time on the way), tokens, times and cost, and on request the
same question to one model. Its settings are those that `/v1/models/ID` lists for the recipe, with temperature, token
limit, seed and thinking. Cost is known if the profile has prices (`usd_per_million_tokens`), or people enter some.

The page is static, asks only its own server and shows answers as text, never as HTML. The tab keeps the conversation
(20 turns), the settings and the API key until it is closed. A reload ends an answer in progress and keeps its text.
Enter sends, Shift+Enter begins a new line, Esc stops the models.

![The console on a phone: three proposals and the answer of moa-lite](images/console-phone.png)

## Settings

Set under `api` in a profile. Durations are in seconds.

| setting | default | meaning |
|---|---|---|
{settings}

Generated by `python -m scripts.generate_docs`.
"""
