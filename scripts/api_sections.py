"""Sections of docs/api.md for which `scripts.api_pages` has no room: aliases, usage, and the metrics page."""

ALIASES = """\
An alias (setting `aliases`, such as `{gpt-4o: moa-lite}`) is another id of a model or recipe. It is accepted wherever
one is: as `model` in every dialect, in the path of `/v1/models/ID`, and in `moa` for `recipe` and for the models of
agents. The answer's `model` is what the request sent, as programs look that name up; `/v1/models` lists each alias
with the id it stands for in `alias_of`. The request log and the metrics have the real id. The server does not start
with an alias of an unknown id or of another alias, or with the name of a model or recipe."""

USAGE = """\
With `stream_options: {"continuous_usage_stats": true}` every chunk has the usage so far, as in vLLM. It is null until
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
| a proposal: of `vote`, of `rank`, an agreement of `adaptive`, a draft that won a vote | the proposer's call |
| the first answer of `cascade`; one that the critic of `debate` accepts | that of the first model; of the solver |
| that of a model or recipe that took over (`auto`, `cascade`) | as in that recipe |
| the first proposal, because the aggregation failed on every model | the proposer's call |
| a proposal of an earlier request of the user turn; a text of a custom recipe | none: `usage` is the sum |

`prompt_tokens` include the references that the agent read: they were computed, and count against its context.
Identical agents are one call with several samples; if one of them is the answer, `usage` counts them all. Other
attempts of a hedged or retried call are not in it. An unknown count is null in `usage` and in the trace, and left out
of the sum; a reason then names the agent. The metrics, the request log and costs count the sum."""

METRICS = """\
## Metrics

With the setting `metrics` (off by default), `GET /metrics` answers on the API's port, for tools that look there, such
as aiperf. It is the Prometheus text of Ray's agents on all nodes of the cluster, joined, so that every orchestrator
answers with the same. It has the metrics of this server (`ray_moa_...`), of the engines (`ray_vllm_...`, which vLLM's
own server calls `vllm:...`) and of Ray Serve (`ray_serve_...`), and none of Ray's own processes or machines. The
agents collect every few seconds, so that a request shows only then. A node that does not answer is named in a comment;
if none does, the answer is 503. A page is reused for 0.25 s.

It needs no key, even if `/v1` does, because these tools send none. It has ids of models and recipes, counts and times,
never texts or keys, for everyone who can reach the port. Prometheus itself should read the agents' ports, as the chart
sets it up."""
