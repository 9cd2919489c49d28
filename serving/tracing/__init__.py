"""Traces of requests by OpenTelemetry and its conventions for generative AI; see docs/tracing.md."""
