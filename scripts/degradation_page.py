"""Text of docs/degradation.md, in which `scripts.generate_docs` puts the table of reasons."""

DEGRADATION_PAGE = """# Degraded answers

A recipe that loses a part of its team, or runs out of time, still answers with what it has. Such an answer is
*degraded*: `moa.degraded` is true, a whole answer has the header `x-moa-degraded: true`, and `moa.reasons` has one
sentence for each cause. The console shows them below the answer, `"moa": {{"show": "reasoning"}}` shows those that are
known before the answer begins, and `"moa": {{"events": true}}` has an event for each. Only if there is nothing to
answer with does the request end in an [error](errors.md).

## Time

`deadline_s` of a recipe (or the shorter one of the request or the API) ends a request. Its last part, `answer_share`
(default 0.25), is kept for the final answer. The steps before it divide the rest equally, by the number of steps that
remain whenever one begins; what a step does not use is left to the later ones. With a deadline of 120 s and two layers
of proposers the first has 45 s; if it ends after 15 s, the second has 75 s. A share fits any deadline: of 2 s, half a
second is kept.

| when the time of a step is over | then |
|---|---|
| a layer has `min_proposals` | its other proposers are cancelled, and the recipe goes on |
| the first layer has fewer, `below_quorum: fail` | it goes on, up to the deadline of the request; then 504 |
| the first layer has fewer, `below_quorum: answer` or `single` | as that setting says, in time for the answer |
| a later layer has fewer | it goes on until the time for the answer, which is made from the proposals before it |
| the time for the answer has begun before a later layer | the layer is left out |
| a judge or critic has not answered | it is left out: the first proposals, or the unchecked answer |
| a part of a plan is missing | it is left out, if `min_proposals` parts are done |
| the first model of `cascade` has not answered | the escalation answers, which has the rest of the time |

| strategy | steps before the answer |
|---|---|
| `layered` | the layers of proposers |
| `self_moa`, `adaptive` (each batch), `staircase` | the proposers |
| `self_moa_seq` | the samples, and each window but the last |
| `blend` | the proposers, the judge |
| `rank` | the proposers; the judge has the time of the answer |
| `vote` | none: the votes themselves are the answer, and have all the time |
| `debate` | each critic and each revision but the last; the first answer may take all the time |
| `plan` | the planner, the parts |
| `cascade` | the first model, the judge, and the steps of the escalation |
| `auto` | those of the recipe that it chooses |

## The final answer

If the final agent fails or is late before its first visible token, its `fallbacks` answer. If they do not, or the
deadline passes, the first proposal that can be the answer is returned as it was written; of `debate` and `cascade` an
earlier answer. Of a whole answer nothing is visible before its end. In `staircase` a fallback also continues
a visible text.

A deadline that passes after the first visible token cuts the answer: it ends with the finish reason `length`
(`max_tokens` or `max_output_tokens` in the other dialects), and its tokens are not in the usage. If there was reasoning
alone, a proposal follows it. An engine that breaks after the first token ends the stream with an error. A single
model's request ends with 504 at its deadline.

## Empty answers

An empty answer of the final agent is the answer: the caller's own `stop` at the first character, an end token at once,
a token that is part of a character, a content filter, or reasoning alone. It is replaced only if nothing was generated:
no token is counted, or the endpoint counts none and does not say why it ended. An empty *proposal* is no use and does
not count for `min_proposals`. Where proposals are sampled as the answer (`vote`, `rank`, `adaptive`), one that the
caller's own `stop` ended at once counts like any other.

## Reasons

The sentences have no text of an error: that is in the trace (`error`) and in the server's log. *Who* is the model, its
role and its layer, such as `'tiny-qwen' (proposer, layer 1)`.

| sentence | when | degrades |
|---|---|---|
{reasons}

This page is written by `python -m scripts.generate_docs`.
"""
