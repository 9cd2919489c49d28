"""Text of docs/responses.md, in which `scripts.generate_docs` puts the table of fields."""

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
