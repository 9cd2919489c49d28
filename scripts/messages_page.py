"""Text of docs/messages.md, in which `scripts.generate_docs` puts the table of fields."""

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
