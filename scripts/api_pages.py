"""Text of docs/api.md, responses.md and messages.md, in which `scripts.generate_docs` puts the tables of fields."""

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
| `GET /v1/models` | models, recipes, aliases: `id`, `kind`, `task`, context, `modalities`, abilities, prices |
| `GET /v1/models/ID` | one of them; of a recipe also `settings`: JSON schemas of what a request may change in `moa` |
| `GET /health` | 200 while the process runs |
| `GET /ready` | 200 if every engine is warm and answers; else 503 with a reason for each engine that is not ready |
| `GET /version` | versions of the server and its libraries |
| `GET /metrics` | metrics in Prometheus' format, without a key, if the setting `metrics` is on: [below](#metrics) |
| `GET /console` | a web page that shows the team at work, without a key |
| `GET /docs`, `/openapi.json` | this API as a page and as OpenAPI 3.1, without a key and without the internet |

If `api_key` is set, all paths below `/v1`, `/tokenize` and `/detokenize` require the header `Authorization: Bearer KEY`
or `x-api-key: KEY`. Every response has the header `x-request-id`, which also appears in the server's log: the client's
own value if that has at most 128 letters, digits and `._:-`, otherwise a new one. Errors: [errors.md](errors.md).

HEAD is answered as GET without a body, OPTIONS with the methods of the path. Web pages of other origins may read the
answers in a browser if the setting `cors_origins` allows their origin. A page that sends a key shows it to everyone who
uses the page: allow `*` only on a server without a key, or whose users bring keys of their own.

{aliases}

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

{usage}

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

{metrics}

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

RESPONSES_PAGE = """# The Responses API

`POST /v1/responses` is OpenAI's Responses API without a store: what Codex CLI and the newer helpers of OpenAI's clients
speak. Models, recipes, keys, limits, streams and errors are those of [chat completions](api.md); events are OpenAI's.

Nothing is stored. The whole conversation is in `input`, answers say `"store": false`, and `previous_response_id`,
`conversation`, `prompt` and `background: true` are refused by name.

## Fields

Every field is applied or refused by name; none is ignored. `null` means "not given".

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

OpenAI's other fields are refused, except for values that ask for nothing: {neutral}.

| item of `input` | becomes |
|---|---|
| `message` of the role `user` | a user's message |
| `message` of the role `system` or `developer` | a system message, at its place |
| `message` of the role `assistant`, `reasoning`, `function_call` | one assistant's message for all items of an answer |
| `function_call_output` | the result of the call `call_id` of the answer before it |

Content is text: a string, or parts of the types `input_text`, `output_text`, `text` and `refusal`, which are joined. A
user's message and a function's result may have images (`input_image` with `image_url`), as in
[chat completions](api.md#images). Items of other types, files and `file_id` are refused by name.

## Tools

`tools` may have functions, and namespaces of functions, as Codex CLI sends those of an MCP server. The model knows such
a function as `NAMESPACE__NAME`, which is also its name in `tool_choice`; a call of it has `namespace` and `name` apart,
in the answer and in the history. A tool of another type (`web_search`, `custom`, `mcp`, ...) is refused by its
position, such as `tools[4].type`; Codex CLI sends no `web_search` with `web_search = "disabled"` in its configuration.
An operator may set [`unsupported_tools: omit`](api.md#settings): such tools are then left out, the answer's `tools`
have the others alone, and the `reasons` of its `moa` object name what was left out. `tool_choice` is `none`, `auto`,
`required`, a function, or `allowed_tools`, which leaves the other tools out of the prompt.

## Reasoning

A reasoning item has the reasoning itself as `content` (`reasoning_text`), not a summary. In history it is taken from
there. With `include: ["reasoning.encrypted_content"]` an item also carries its text in `encrypted_content`, for clients
that send no other field back; it is encoded, not encrypted. An `encrypted_content` of another server has no effect.

## Answers

`status` is `completed`, or `incomplete` with the reason `max_output_tokens` or `content_filter`. `usage` counts [one
call](api.md#usage) and is null if a total is unknown; an unknown part of a total is 0, as OpenAI's types have no null
there. The `moa` object is that of [chat completions](api.md#the-moa-object), on the response.

A stream has the events `response.created` and `response.in_progress`, then for each item `response.output_item.added`,
its pieces (`response.reasoning_text.delta`, `response.output_text.delta`, `response.function_call_arguments.delta`,
each with its `done`) and `response.output_item.done`, then `response.completed` or `response.incomplete`. An answer
that fails after its first event ends with `response.failed`, whose `error.code` is `server_error`,
`rate_limit_exceeded`, `invalid_prompt` or `context_length_exceeded`. There is no `[DONE]`.

This page is written by `python -m scripts.generate_docs`.
"""

MESSAGES_PAGE = """# The Messages API

`POST /v1/messages` and `POST /v1/messages/count_tokens` are Anthropic's Messages API: what Claude Code and Anthropic's
clients speak, with the server's address without `/v1` as `ANTHROPIC_BASE_URL`. Models, recipes, keys, limits and
streams are those of [chat completions](api.md). Every `anthropic-version` is accepted, and `anthropic-beta` has no
effect: what a beta adds to the body is applied or refused by name.

## Fields

Every field is applied or refused by name; none is ignored. `null` means "not given". `count_tokens` has the fields that
form the prompt: {counted}.

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

Anthropic's other fields are refused, except for values that ask for nothing: {neutral}.

| block | in | becomes |
|---|---|---|
| `text` | all roles | text; several blocks are joined by line ends |
| `image` | `user`, `tool_result` | an image, as in [chat completions](api.md#images): `base64` or `url` |
| `tool_result` | `user` | the result of the call `tool_use_id` of the answer before; if `is_error`, after `Error: ` |
| `thinking` | `assistant` | the reasoning of the answer |
| `redacted_thinking` | `assistant` | nothing: it cannot be read |
| `tool_use` | `assistant` | a call |

Blocks of other types, such as `document`, and images by `file` are refused by name. So are tools with types of
Anthropic's, such as `web_search_20250305`, unless the setting [`unsupported_tools`](api.md#settings) is `omit`: the
tool is then left out, and the `reasons` of the `moa` object name it.

If the last message is an assistant's, the answer continues it, as with `continue_final_message` of
[chat completions](api.md#vllms-extensions): it has the new text alone, and the request no tools.

## Thinking

`enabled` and `adaptive` switch thinking on, `disabled` off; `output_config.effort` sets its effort. Budgets are upper
bounds: a model that does not think accepts all of them and returns no `thinking` block. A block's `signature` carries
its text, encoded, so that a block whose text was omitted (`display: omitted`) is complete when it comes back.

## Answers

`stop_reason` is `end_turn`, `max_tokens`, `tool_use`, `stop_sequence` or `refusal`. External endpoints do not say which
stop sequence ended an answer; theirs is `end_turn`. The `input` of a call whose arguments are no JSON object is
`{{"arguments": ...}}`; a stream has them as the model wrote them. `usage` counts [one call](api.md#usage);
`usage.input_tokens` are the tokens that were not read from the cache; with `cache_read_input_tokens` they are the whole
prompt. They are 0 in `message_start` and right in `message_delta`; an unknown count is 0. The `moa` object is that of
[chat completions](api.md#the-moa-object), on the message or on `message_delta`.

Errors have Anthropic's shape, also within a stream, with the server's own `code` and `param` in `error`:

| status | `error.type` |
|---|---|
| 400, 405, 415 | `invalid_request_error` |
| 401 | `authentication_error` |
| 404 | `not_found_error` |
| 408, 504 | `timeout_error` |
| 413 | `request_too_large` |
| 429 | `rate_limit_error` |
| 500, 502 | `api_error` |
| 503 | `overloaded_error` |

A request with `thread` is refused with the details by which Anthropic's tool runner sends the whole conversation
instead. The message about a prompt that is too long begins in Anthropic's words, in which Claude Code looks for the
numbers.

## Counting tokens

`input_tokens` is the length of the prompt that the model would read: counted by its own chat template and tokenizer, of
a recipe by those of the final agent's model. References, which a recipe adds to its prompts, are not counted. Models
behind external endpoints cannot count: 400 with the param `model`.

This page is written by `python -m scripts.generate_docs`.
"""
