"""Endpoints, one file for each family. What they share is in `serving.api.dependencies`."""
