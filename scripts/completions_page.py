"""Text of docs/completions.md, in which `scripts.generate_docs` puts the table of fields."""

COMPLETIONS_PAGE = """# The Completions API

`POST /v1/completions` continues a prompt that the caller writes as a whole, without a chat template: OpenAI's older
API, which benchmarks and evaluations use. `POST /tokenize` and `POST /detokenize`, at vLLM's paths, tell a model's
tokens. Models, recipes, keys, limits, streams and errors are those of [chat completions](api.md).

## Fields

Every field is applied or refused by name; none is ignored. `null` means "not given".

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

OpenAI's and vLLM's other fields are refused, except for values that ask for nothing: {neutral}.

## Prompts

A model reads the prompt as it is. The text of a message cannot become a control token, but a prompt is the caller's
own: `<|im_end|>` in it is the control token if the model has one, as in vLLM. A program that puts text of other people
into a prompt must take care of that itself; with chat completions it need not. Reasoning and tool calls are text of the
answer, as the model writes them.

| `prompt` | is | errors name |
|---|---|---|
| `"Once"` | one prompt | `prompt` |
| `["Once", "Twice"]` | several prompts | `prompt[1]` |
| `[12, 7]` | one prompt of token ids | `prompt[1]`: the id |
| `[[12, 7], [12]]` | several prompts of token ids | `prompt[0][1]`: the id |

Several prompts, at most `max_prompts`, are computed at the same time, and each counts as a request in progress. Their
pieces come in a stream as they are made, by the index of their choice: the position of the prompt times `n`, plus the
number of the choice. `usage` is the sum. An error of one prompt ends the request. Token ids that the model does not
have, and a prompt that does not fit its context beside `max_tokens`, are refused.

## Echo and log probabilities

With `echo` each choice begins with the prompt. With `logprobs` as well its `logprobs` begin with those of the prompt's
tokens, the first of which has null: nothing stands before it. `max_tokens: 0` returns the prompt alone: its log
probabilities are what evaluations call the loglikelihood of a text.

```
"logprobs": {{
  "tokens": ["Once", " upon"],
  "token_logprobs": [null, -2.1],
  "top_logprobs": [null, {{" upon": -2.1, " again": -0.4}}],   the token itself and the most likely ones
  "text_offset": [0, 4]                                      length of the texts of the tokens before
}}
```

A prompt whose log probabilities are asked for is computed from its first token on: the prefix cache does not have them.

## Recipes

A recipe reads a text as the only message of a user, and answers as in chat. `max_tokens` has no default there. Token
ids, `echo`, `logprobs`, `n` above 1 and `add_special_tokens: false` are refused by name. Reasoning is not returned. The
`moa` object is that of [chat completions](api.md#the-moa-object), without events; with several prompts it has no
trace, and each reason names its prompt.

## External endpoints

A model behind an external endpoint takes prompts if its profile says `completions: true`; they are sent to the
endpoint's `/completions`. Otherwise the request is refused. It has no `/tokenize`: the tokenizer is elsewhere.

## Tokens

`POST /tokenize` has the fields `model`, and either `prompt` or `messages`. They need a key if `/v1` does. A recipe is
refused, as its models have several tokenizers.

| field | type | default | meaning |
|---|---|---|---|
{tokenize}

The answer is `{{"count": 2, "max_model_len": 8192, "tokens": [12, 7], "token_strs": null}}`. The tokens of `messages`
are the prompt that a chat request with them would have: `count` is its `usage.prompt_tokens`. They may be more than the
context holds, up to `max_counted_tokens` of the model in the profile (262,144).

`POST /detokenize` has `model` and `tokens`, a list of token ids, and answers `{{"prompt": "..."}}`: their text, that of
control tokens included.

This page is written by `python -m scripts.generate_docs`.
"""
