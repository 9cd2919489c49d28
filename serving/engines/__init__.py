"""Engines: models, recipes, external OpenAI-compatible endpoints, and scripted engines for tests and scale runs."""
