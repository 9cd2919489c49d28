"""Small tasks of user interfaces: prompts with which they ask the chat's own model for a title, tags and the like.

Open WebUI and LibreChat send them as ordinary chat requests, without a mark: Open WebUI removes the `metadata` that
would tell. A request is one if its only message, besides system messages, is such a prompt from its first to its last
character. The frames are those of Open WebUI 0.5 to 0.11 and of LibreChat's `titleMethod: completion` and `structured`.
"""

from collections.abc import Mapping

from serving.recipes.base import Recipe
from serving.types import GenerateRequest

# Open WebUI: an instruction, the form of the output as JSON with one of these keys, then the chat to its last line.
TASK, OUTPUT, HISTORY, END = "### Task:", "\n### Output:", "\n<chat_history>\n", "\n</chat_history>"
KEYS = {
    '"title"': "title",
    '"tags"': "tags",
    '"follow_ups"': "follow-ups",
    '"queries"': "search queries",
    '"prompt"': "image prompt",
}
# Other frames: kind, beginning, a text after it, end.
FRAMES = (
    ("autocompletion", "### Task:\nYou are an autocompletion system.", "\n<text>", "\n#### Output:"),
    ("emoji", "Your task is to reflect the speaker's likely facial expression through", "\n\nMessage: ```", "```"),
    ("title", "Provide a concise, 5-word-or-less title for the conversation,", "title itself.\n\nConversation:\n", ""),
    ("title", "Analyze this conversation and provide:\n1. The detected language", "\n2. A concise title in the", ""),
)
BEGINNINGS = (TASK, *(beginning for _, beginning, *_ in FRAMES))  # of every frame: what begins otherwise is none


def small_task(request: GenerateRequest) -> str | None:
    """Kind of the small task that the request is; None if it is none. A request with tools is none."""
    roles = [message.role for message in request.messages]
    if request.tools or roles[-1:] != ["user"] or any(role != "system" for role in roles[:-1]):
        return None
    text = request.messages[-1].content.strip()
    for kind, beginning, middle, end in FRAMES:
        if text.startswith(beginning) and text.endswith(end) and text.find(middle, len(beginning)) >= 0:
            return kind
    if not (text.startswith(TASK) and text.endswith(END)):
        return None
    instructions, history, _ = text.partition(HISTORY)
    form = instructions.partition(OUTPUT)[2]
    found = {form.find(key): kind for key, kind in KEYS.items() if key in form}
    return found[min(found)] if history and found else None


def small_task_models(
    recipe: Recipe, recipes: Mapping[str, Recipe], prices: Mapping[str, tuple[float, float]]
) -> tuple[str, ...]:
    """Models of the recipe in the order in which they are asked for a small task; each replaces the one before.

    The model of the setting `small_tasks` comes first if it names one, else the cheapest. Models without a price come
    after those with one, and among them the final agent's model first.

    Args:
        recipe: the recipe that was asked.
        recipes: all that are served; those to which it may hand over count, too.
        prices: by model id: per prompt token and per completion token.
    """
    named = recipe.small_task_model
    models = _models(recipe, recipes)
    ranked = sorted(models, key=lambda model: prices.get(model, (float("inf"),) * 2))  # stable: else in their order
    return tuple(dict.fromkeys(([] if named is None else [named]) + ranked))


def _models(recipe: Recipe, recipes: Mapping[str, Recipe]) -> list[str]:
    """Ids of all models of the recipe: the final agent's first, then the other agents', then those of its delegates."""
    final = recipe.final_agent()
    found = [agent.model for agent in (*([final] if final else []), *recipe.agents())]
    delegates = sorted(recipe.delegates(), key=lambda name: name in recipes)  # models first
    for name in delegates:
        found += _models(recipes[name], recipes) if name in recipes else [name]
    return list(dict.fromkeys(found))
