"""Strategies: one module each."""
