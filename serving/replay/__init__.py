"""Recorded runs, repeated: their prompts rebuilt, and layers of them asked again; see docs/tracing.md."""
