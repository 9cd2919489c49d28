"""The runtime: how a recipe's calls are made."""
