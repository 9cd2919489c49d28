"""Side-by-side benchmark: vLLM's servers with client-side MoA, stock ray.serve.llm, and this server."""
