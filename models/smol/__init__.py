"""SmolLM2-135M-Instruct: one real open-weight model, small enough for a CPU; `docs/smol.md`.

`python -m models.smol` downloads and converts it. Its weights are never committed.
"""
