"""The page of `python -m deployments.plan PROFILE`: models, recipe graphs and the longest prompt of each layer."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from deployments.adapter_spec import max_loras
from deployments.config import Profile
from deployments.model.template_notes import template_notes
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import batch_rank
from deployments.plan.checks import check_profile
from deployments.plan.engine_options import engine_option_names
from deployments.plan.memory import sizes
from deployments.plan.token_counts import TOKENS_PER_WORD, Counter
from deployments.plan.worst_case import Prompt, counters_of, longest_prompts
from deployments.weights import check_weights

ASKED_TOKENS, ANSWER_TOKENS = 512, 512  # of the caller's conversation; of an agent without a limit
WIDTH = 120  # columns of the page
_END = "─> answer"
ENDPOINTS: Mapping[str, str] = {"embed": "/v1/embeddings, /v1/rerank", "rerank": "/v1/rerank"}
COMPUTED = "Weights and KV room on GPUs are computed from the profile's numbers, not measured."


def report(profile: Profile, *, asked_tokens: int = ASKED_TOKENS, answer_tokens: int = ANSWER_TOKENS) -> str:
    """Return the page as text.

    Raises:
        ConfigError: the profile cannot work, or a model's sizes are unknown.
    """
    for model in profile.models:
        if model.shape is None:  # its sizes are read from the files
            check_weights(model)
    recipes = check_profile(profile, weights_here=False)
    lines = [f"{profile.name}: {profile.description or 'no description'}", "", *_models(profile)]
    contexts, counters = profile.contexts, counters_of(profile)
    lines += _template_notes(profile, counters)
    for recipe in recipes.values():
        found = longest_prompts(recipe, recipes, counters, asked_tokens=asked_tokens, answer_tokens=answer_tokens)
        lines += ["", f"{recipe.id} ({recipe.strategy}): {recipe.description}"]
        for route, prompts in groupby(found, lambda prompt: prompt.route):
            members = [*prompts]
            lines += [*([f"route {route}:"] if route else []), *_graph(members)]
            lines += ["", *_prompts(members, contexts)]
    lines += ["", *_notes(asked_tokens, answer_tokens, [model for model in counters if not counters[model].exact])]
    if profile.gpus:
        lines.append(COMPUTED)
    if not engine_option_names():
        lines.append("Engine options were not checked: vllm is not installed.")
    return "\n".join(lines)


def _notes(asked_tokens: int, answer_tokens: int, estimated: Sequence[str]) -> Iterator[str]:
    yield f"Prompt sizes assume {asked_tokens} tokens from the caller and {answer_tokens} from each agent without a"
    yield "limit, on the most expensive route through each recipe."
    if estimated:
        yield f"~ estimated at {TOKENS_PER_WORD} tokens per word: no tokenizer of {', '.join(estimated)} is local."


def _models(profile: Profile) -> Iterator[str]:
    """Table of sizes and table of abilities."""
    yield f"{'model':<20} {'weights':>10} {'KV room':>12} {'context':>9} {'GPUs':>14} {'replicas':>9}"
    for model in profile.models:
        found = sizes(model)
        room = "?" if found.kv_tokens is None else f"{found.kv_tokens:,}"
        replicas = str(model.replicas.min) + (f"-{model.replicas.max}" if model.replicas.max else "")
        weights, gpus = _size(found.weights_gib), _gpus(model)
        yield f"{model.id:<20} {weights:>10} {room:>12} {model.context_tokens:>9,} {gpus:>14} {replicas:>9}"
    for external in profile.external:
        yield f"{external.id:<20} {'-':>10} {'-':>12} {external.context_tokens:>9,} {'endpoint':>14} {'-':>9}"
    yield f"Total GPUs at the minimum number of replicas: {profile.gpus:g}"
    if not profile.models:
        return
    yield ""
    yield f"{'model':<20} {'tools':<20} {'thinking':<60} modalities"
    for model in profile.models:
        if model.generates:
            modalities = _modalities(model, profile.api.images.max_images)
            yield f"{model.id:<20} {_tools(model):<20} {_thinking(model):<60} {modalities}"
    yield from _adapters(profile)
    if profile.pooling:
        yield ""
        yield f"{'model':<20} {'task':<20} answers"
        for model in profile.pooling:
            yield f"{model.id:<20} {model.task:<20} {ENDPOINTS[model.task]}"


def _adapters(profile: Profile) -> Iterator[str]:
    """Table of the LoRA adapters and of the memory that their models keep for them."""
    adapted = [model for model in profile.models if model.adapters]
    if not adapted:
        return
    yield ""
    yield f"{'LoRA adapter':<20} {'of model':<20} {'in one batch':>12} {'largest rank':>13} {'memory':>10}  source"
    for model in adapted:
        found, rank = sizes(model).adapters_gib, batch_rank(model)
        memory = "?" if found is None else _size(found)
        places = max_loras(model.adapters, model.engine_kwargs, model.accelerator)
        batch = min(len(model.adapters), places)
        for adapter in model.adapters:
            yield (f"{adapter.id:<20} {model.id:<20} {batch:>12} {rank or '?':>13} {memory:>10}  {adapter.source}")
            memory = ""  # of all adapters of the model together


def _template_notes(profile: Profile, counters: Mapping[str, Counter]) -> Iterator[str]:
    """Notes on the chat templates whose tokenizers are local."""
    for model in profile.models:
        if not model.generates:
            continue
        facts = counters[model.id].template_facts
        notes = template_notes(model, facts) if facts is not None else ()
        yield from ([""] if notes else [])
        yield from (f"{f'{model.id}: ' if not number else '  '}{note}" for number, note in enumerate(notes))


def _gpus(model: ModelSpec) -> str:
    if not model.gpus:
        return "none (CPU)"
    return f"{model.gpus * model.gpu_share:g} x {model.accelerator_type or 'GPU'}"


def _tools(model: ModelSpec) -> str:
    """Name of the parser of the model's own calls, or the calls that it can be made to write without one."""
    if model.tool_call_parser is None:
        return "required or named" if model.accepts_tools else "no"
    return f"{model.tool_call_parser}, strict" if model.strict_tools else model.tool_call_parser


def _thinking(model: ModelSpec) -> str:
    """Name of the reasoning parser, and what a request's effort becomes."""
    if model.reasoning_parser is None:
        return "no"
    spec = model.thinking
    if spec is None:
        return f"{model.reasoning_parser}, as the template has it"
    switch = f"{spec.switch_arg} (default: {'on' if spec.default else 'off'})" if spec.switch_arg else "always on"
    efforts = f"; effort: {spec.effort_arg}" if spec.effort_arg else ""
    return f"{model.reasoning_parser}, {switch}{efforts}"


def _modalities(model: ModelSpec, max_images: int) -> str:
    if not model.sees:
        return "text"
    limit = model.image_limit(max_images)
    return "text, images" if limit is None else f"text, up to {limit} image{'s' if limit != 1 else ''}"


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 0.1 else f"{gib * 1024:.1f} MiB"


def _graph(prompts: Sequence[Prompt]) -> Iterator[str]:
    """Draw the agents of one run, layer by layer; what is too wide for a line continues below.

    question ─┬─> tiny-qwen ────┐
              ├─> tiny-llama ───┤
              └─> tiny-mixtral ─┴─> tiny-qwen (aggregator) ──> answer
    """
    layers: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        layers.setdefault(prompt.layer, []).append(prompt)
    height = max((len(agents) for agents in layers.values()), default=0)
    rows = ["question " if row == height - 1 else " " * 9 for row in range(height)]
    for number, agents in sorted(layers.items()):
        drawn = _layer(agents, height, last=number == max(layers))
        if len(rows[-1]) + len(drawn[-1]) + len(_END) > WIDTH:
            yield from (row.rstrip() for row in rows if row.strip())
            rows = [" " * 9] * height
        rows = [row + more for row, more in zip(rows, drawn, strict=True)]
    if rows:
        rows[-1] += _END
    yield from (row.rstrip() for row in rows if row.strip())


def _layer(agents: Sequence[Prompt], height: int, *, last: bool) -> list[str]:
    """Rows of one layer; its agents are on the last of them."""
    names = [agent.model if agent.role == "proposer" else f"{agent.model} ({agent.role})" for agent in agents]
    width = max(map(len, names))
    rows = [" " * (width + 8)] * (height - len(names))
    for index, name in enumerate(names):
        into = _corner(index, len(names), opening=True)
        out = "─" if last else _corner(index, len(names), opening=False)
        rows.append(f"{into}> {name} " + "─" * (width - len(name) + 1) + out)
    return rows


def _corner(index: int, count: int, *, opening: bool) -> str:
    if count == 1:
        return "───" if opening else "─"
    if opening:
        return " ┌─" if index == 0 else "─┴─" if index == count - 1 else " ├─"
    return "┐" if index == 0 else "┴" if index == count - 1 else "┤"


def _prompts(prompts: Sequence[Prompt], contexts: dict[str, int]) -> Iterator[str]:
    yield f"{'layer':>5} {'role':<12} {'model':<20} {'longest prompt':>14} {'of context':>10}"
    for prompt in dict.fromkeys(prompts):
        share = (prompt.prompt_tokens + prompt.answer_tokens) / contexts[prompt.model]
        first = prompt.layer == min(one.layer for one in prompts)
        note = "" if share <= 1 else "  refused: too long" if first else "  references are shortened"
        size = f"{'' if prompt.exact else '~'}{prompt.prompt_tokens:,}"
        yield f"{prompt.layer:>5} {prompt.role:<12} {prompt.model:<20} {size:>14} {share:>10.0%}{note}"
