"""Optima: training of a team on its own answers (arXiv 2410.08115).

    python -m training optima    generates, ranks, selects and trains, for several iterations
    python -m training profile   writes the profile that serves a finished iteration
    python -m training evaluate  serves the iterations, and has them answer held-out questions
    python -m training table     prints accuracy and tokens of evaluated runs as Markdown

Each iteration asks a server of this project and keeps every agent's turns (`generation`, `trajectory`), scores it
(`scoring`, `reward`), selects examples or pairs (`selection`, `tree`) and trains with TRL (`trainer`).
"""
