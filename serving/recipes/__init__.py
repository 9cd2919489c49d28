"""Recipes: who answers whom. One module per strategy, presets as YAML."""

from serving.recipes.base import Recipe
from serving.recipes.loading import load_recipes

__all__ = ["Recipe", "load_recipes"]
