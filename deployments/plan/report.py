"""What a profile needs, without starting it: `python -m deployments.plan PROFILE [--cost]`.

Each model's weights, room for key-value cache and GPUs, each recipe's graph, and the longest prompt of each layer, on
the most expensive way through the recipe.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from deployments.config import Profile, load_profile
from deployments.plan.checks import check_profile
from deployments.plan.cost import report as cost_report
from deployments.plan.memory import sizes
from deployments.plan.token_counts import TOKENS_PER_WORD
from deployments.plan.worst_case import Prompt, counters_of, longest_prompts
from serving.errors import ConfigError

ASKED_TOKENS, ANSWER_TOKENS = 512, 512


def report(profile: Profile, *, asked_tokens: int = ASKED_TOKENS, answer_tokens: int = ANSWER_TOKENS) -> str:
    """The whole page, as text.

    Raises:
        ConfigError: the profile cannot work, or a model's sizes are not known.
    """
    recipes = check_profile(profile)
    lines = [f"{profile.name}: {profile.description or 'no description'}", "", *_models(profile)]
    contexts, counters = profile.contexts, counters_of(profile)
    for recipe in recipes.values():
        found = longest_prompts(recipe, recipes, counters, asked_tokens=asked_tokens, answer_tokens=answer_tokens)
        lines += ["", f"{recipe.id} ({recipe.strategy}): {recipe.description}"]
        for route, prompts in groupby(found, lambda prompt: prompt.route):
            members = [*prompts]
            lines += [*([f"where it chooses {route}:"] if route else []), *_graph(members)]
            lines += ["", *_prompts(members, contexts)]
    lines += ["", *_notes(asked_tokens, answer_tokens, [model for model in counters if not counters[model].exact])]
    return "\n".join(lines)


def _notes(asked_tokens: int, answer_tokens: int, estimated: Sequence[str]) -> Iterator[str]:
    yield f"Prompts are for {asked_tokens} tokens asked and {answer_tokens} written by agents without a limit, on the"
    yield "most expensive way through each recipe."
    if estimated:
        yield f"~ an estimate, {TOKENS_PER_WORD} tokens to the word: no tokenizer of {', '.join(estimated)} is local."


def _models(profile: Profile) -> Iterator[str]:
    yield f"{'model':<20} {'weights':>10} {'KV room':>12} {'context':>9} {'GPUs':>14} {'replicas':>9}"
    for model in profile.models:
        found = sizes(model)
        room = "?" if found.kv_tokens is None else f"{found.kv_tokens:,}"
        gpus = f"{model.gpus} x {model.accelerator_type or 'GPU'}" if model.gpus else "none (CPU)"
        replicas = str(model.replicas.min) + (f"-{model.replicas.max}" if model.replicas.max else "")
        weights = _size(found.weights_gib)
        yield f"{model.id:<20} {weights:>10} {room:>12} {model.context_tokens:>9,} {gpus:>14} {replicas:>9}"
    yield f"GPUs in all, at the least number of replicas: {profile.gpus}"


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 0.1 else f"{gib * 1024:.1f} MiB"


def _graph(prompts: Sequence[Prompt]) -> Iterator[str]:
    """Who answers whom, drawn from a run:

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
        names = [agent.model if agent.role == "proposer" else f"{agent.model} ({agent.role})" for agent in agents]
        width = max(map(len, names))
        top = height - len(names)
        for row in range(height):
            if row < top:
                rows[row] += " " * (width + 8)
                continue
            index = row - top
            into = _corner(index, len(names), opening=True)
            out = _corner(index, len(names), opening=False) if number != max(layers) else "─"
            rows[row] += f"{into}> {names[index]} " + "─" * (width - len(names[index]) + 1) + out
    if rows:
        rows[-1] += "─> answer"
    yield from (row.rstrip() for row in rows)


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
        note = "  references are shortened" if share > 1 else ""
        size = f"{'' if prompt.exact else '~'}{prompt.prompt_tokens:,}"
        yield f"{prompt.layer:>5} {prompt.role:<12} {prompt.model:<20} {size:>14} {share:>10.0%}{note}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", help="a profile's name, or a YAML file")
    parser.add_argument("--cost", action="store_true", help="what it costs on AWS, and what it serves for that")
    parser.add_argument("--asked-tokens", type=int, default=ASKED_TOKENS, help="of the caller's conversation")
    parser.add_argument("--answer-tokens", type=int, default=ANSWER_TOKENS, help="of an agent without a limit")
    chosen = parser.parse_args(arguments)
    try:
        profile = load_profile(chosen.profile)
        page = (
            cost_report(profile)
            if chosen.cost
            else report(profile, asked_tokens=chosen.asked_tokens, answer_tokens=chosen.answer_tokens)
        )
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    print(page)


if __name__ == "__main__":
    main()
