"""The model deployment: one vLLM engine and its prompt renderer."""
