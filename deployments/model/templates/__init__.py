"""Chat templates: turns of a conversation to a prompt, in the format of each family of models."""
