"""The tables of the Mixture-of-Agents papers, for comparison. The numbers are the papers' own."""

from evaluation.tables import Table, texts

MOA, RETHINKING = "2406.04692", "2502.00674"

# a (quality), b (diversity), R2 of t = a*q + b*d + c, per task
PLANES = {"MMLU": (2.558, 1.841, 0.771), "CRUX": (4.548, 1.421, 0.685), "MATH": (4.719, 2.839, 0.760)}

# MMLU, CRUX, MATH: i = Qwen2-7B, d = DeepSeek-Coder-V2-Lite, m = Qwen2-Math-7B
ALONE = {"i": (66.16, 36.25, 53.81), "d": (60.91, 49.51, 53.82), "m": (54.36, 27.88, 69.57)}
TEAMS = {"iimmdd": (67.89, 42.88, 64.38), "mmmddd": (65.80, 47.00, 67.32), "dddddd": (65.23, 50.75, 63.08)}
BEST_PER_TASK = (69.01, 50.75, 68.42)

BENCHMARKS = Table(
    f"Mixture-of-Agents: AlpacaEval 2.0 (length-controlled win rate, %) and MT-Bench (arXiv {MOA})",
    ("system", "AlpacaEval 2.0 LC", "MT-Bench"),
    texts(
        ("MoA with GPT-4o", "65.7", "9.40"),
        ("MoA", "65.1", "9.25"),
        ("MoA-Lite", "59.3", "9.18"),
        ("GPT-4o", "57.5", "9.19"),
        ("GPT-4 Turbo", "55.0", "9.31"),
    ),
)
PROPOSERS = Table(
    f"AlpacaEval 2.0 LC by number of proposers (arXiv {MOA})",
    ("proposers", "several models", "one model sampled"),
    texts(("1", "47.8", "47.8"), ("2", "58.8", "54.5"), ("3", "58.0", "56.1"), ("6", "61.3", "56.7")),
)
ROLES = Table(
    f"AlpacaEval 2.0 LC by role (arXiv {MOA})",
    ("model", "as aggregator", "as proposer"),
    texts(
        ("Qwen1.5-110B-Chat", "61.3", "56.7"),
        ("Qwen1.5-72B-Chat", "59.3", "53.3"),
        ("WizardLM-8x22B", "52.9", "63.8"),
        ("Mixtral-8x22B", "48.4", "54.8"),
        ("Llama-3-70B-Instruct", "45.0", "60.6"),
        ("dbrx-instruct", "41.5", "55.1"),
    ),
)
LAYERS = Table(
    f"MATH accuracy by layer (arXiv {MOA})",
    ("model", "layer 1", "layer 2", "layer 3"),
    texts(
        ("Qwen1.5-72B-Chat", "0.428", "0.526", "0.552"),
        ("Qwen1.5-110B-Chat", "0.500", "0.570", "0.576"),
        ("WizardLM-8x22B", "0.544", "0.574", "0.580"),
        ("Mixtral-8x22B", "0.282", "0.534", "0.556"),
        ("Llama-3-70B-Instruct", "0.456", "0.584", "0.578"),
        ("dbrx-instruct", "0.314", "0.456", "0.522"),
    ),
)
MIXING = Table(
    f"Self-MoA against mixed teams: accuracy, % (arXiv {RETHINKING})",
    ("team", "MMLU", "CRUX", "MATH", "average"),
    texts(
        *(
            [name, *(f"{value:.2f}" for value in values), f"{sum(values) / 3:.2f}"]
            for name, values in (
                *((f"{model} alone", alone) for model, alone in ALONE.items()),
                *TEAMS.items(),
                ("best model of each task (Self-MoA)", BEST_PER_TASK),
            )
        )
    ),
    note=(
        "i: Qwen2-7B, d: DeepSeek-Coder-V2-Lite, m: Qwen2-Math-7B."
        " On AlpacaEval 2.0 (LC, two layers) Self-MoA reaches 65.7 where the mixed team reaches 59.1."
    ),
)
PLANE = Table(
    f"Quality and diversity: t = a*q + b*d + c (arXiv {RETHINKING})",
    ("task", "a (quality)", "b (diversity)", "R²"),
    texts(*([task, f"{a:.3f}", f"{b:.3f}", f"{r2:.3f}"] for task, (a, b, r2) in PLANES.items())),
)

TABLES = (BENCHMARKS, PROPOSERS, ROLES, LAYERS, MIXING, PLANE)


def markdown() -> str:
    """Render all tables as Markdown."""
    return "\n".join(table.markdown() for table in TABLES)
