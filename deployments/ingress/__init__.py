"""The HTTP deployment: the API and the orchestrator, on CPUs."""
