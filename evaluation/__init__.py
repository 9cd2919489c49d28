"""Accuracy and cost of models and recipes, measured against a running server.

    python -m evaluation run           sends every question to every arm; one JSONL row per answer
    python -m evaluation judge         has a served model compare or grade those answers
    python -m evaluation report        writes an HTML page with tables, plots and a recommendation
    python -m evaluation table         prints accuracy by skill, calls, tokens and cost
    python -m evaluation export        writes the answers as files of alpaca_eval or FastChat
    python -m evaluation train-router  fits a router for the `auto` recipe
    python -m evaluation papers        prints the papers' tables

`datasets` parses files into items, `scoring` scores texts, `analysis` computes tables from rows.
"""
