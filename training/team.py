"""The team of a recipe, from the profile that the server runs: models, abilities, and the recipe itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deployments.adapter_fit import model_config
from deployments.config import Profile, load_profile
from deployments.engine_infos import engine_infos
from deployments.model_spec import ModelSpec
from serving.engine import EngineInfo
from serving.errors import ConfigError
from serving.recipes import Recipe, load_recipes
from training.errors import TrainingError

# Strategies whose agents' prompts follow from the agents' texts. Others also decide by probabilities of tokens.
STRATEGIES = ("debate", "plan", "layered", "rank", "self_moa", "self_moa_seq", "vote", "blend")


EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # keys of config.json


@dataclass(frozen=True, slots=True)
class Team:
    """A recipe of a profile, and the models that it asks."""

    profile: Profile
    recipe: Recipe
    recipes: Mapping[str, Recipe]  # all of the profile: a recipe may delegate to another

    @property
    def models(self) -> dict[str, ModelSpec]:
        """Models of the recipe that the profile serves itself, by id."""
        named = self.recipe.models()
        return {model.id: model for model in self.profile.generating if model.id in named}

    def trained(self, chosen: Sequence[str]) -> list[str]:
        """Models to train, by id: those chosen, or all of the recipe. Raises `TrainingError`."""
        if unknown := [name for name in chosen if name not in self.models]:
            raise TrainingError(
                f"The recipe '{self.recipe.id}' has no model '{unknown[0]}'; its models are: {', '.join(self.models)}."
            )
        found = [name for name in self.models if not chosen or name in chosen]
        for name in found:
            if name in self.profile.parents:
                raise TrainingError(
                    f"'{name}' is a LoRA adapter of the profile and cannot be trained further; leave it out with"
                    " --models."
                )
            if self.models[name].source.startswith(("s3://", "gs://")):
                raise TrainingError(
                    f"The weights of '{name}' are in an object store; copy them to a folder to train them."
                )
        return found

    def check_adapters(self, names: Sequence[str]) -> None:
        """Check that adapters of these models can be served. Raises `TrainingError`."""
        for name in names:
            spec = self.models[name]
            config = model_config(spec.path) if spec.path is not None else {}
            if spec.accelerator == "cpu" and any(config.get(key) for key in EXPERTS):
                raise TrainingError(
                    f"'{name}' has experts, whose adapters vLLM does not serve on CPUs; leave out --lora-rank, or the"
                    " model with --models."
                )

    def base_of(self, model: str) -> str:
        """Folder or Hugging Face id of a model's weights before any training."""
        spec = self.models[model]
        return str(spec.path or spec.source)

    def trusts(self, model: str) -> bool:
        """True if the profile lets the model's own code run."""
        return bool(self.models[model].engine_kwargs.get("trust_remote_code"))

    def infos(self) -> dict[str, EngineInfo]:
        """Abilities of all models, as the server's orchestrator has them, by id."""
        return engine_infos(self.profile)


def load_team(profile: str, recipe: str) -> Team:
    """Load the profile, and the recipe of it with the id `recipe`.

    Raises:
        TrainingError: there is no such profile or recipe, or the recipe's agents cannot be trained.
    """
    try:
        loaded = load_profile(profile)
        recipes = load_recipes(loaded.recipes, loaded.team)
    except ConfigError as error:
        raise TrainingError(str(error)) from None
    if recipe not in recipes:
        raise TrainingError(f"The profile '{profile}' has no recipe '{recipe}'; its recipes are: {', '.join(recipes)}.")
    chosen = recipes[recipe]
    strategy = str(getattr(chosen, "strategy", ""))
    if strategy not in STRATEGIES:
        raise TrainingError(
            f"The recipe '{recipe}' (strategy {strategy}) cannot be trained; choose one with a strategy of:"
            f" {', '.join(STRATEGIES)}."
        )
    team = Team(loaded, chosen, recipes)
    if not team.models:
        raise TrainingError(f"The recipe '{recipe}' has external models only, whose weights cannot be trained.")
    return team
