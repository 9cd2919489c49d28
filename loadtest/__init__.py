"""Load tests and benchmarks of an OpenAI-compatible server, with measures for a Mixture-of-Agents server."""
