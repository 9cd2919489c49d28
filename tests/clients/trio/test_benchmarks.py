"""Load tools and evaluations of others: each asks the embedded trio five times and reports what it measured."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.install_clients import folder_of
from tests.clients.trio.conftest import ENVIRONMENT, PROGRAM_S
from tests.clients.trio.registry import require
from tests.support.paths import ROOT

HERE = Path(__file__).parent
TOKENIZER = ROOT / "models" / "tiny" / "weights" / "tiny-qwen"
ROWS = 5
ANSWER_TOKENS = 16
TASKS = HERE / "lm_eval_tasks"


def run(*command: object, **environment: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **environment},
        timeout=PROGRAM_S,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/completions"])
def test_guidellm(url: str, tmp_path: Path, endpoint: str) -> None:
    """Its defaults, which ask for the usage in every chunk; streamed."""
    require("guidellm")
    report = tmp_path / "report.json"
    backend = f"kind=openai_http,target={url},model=moa-lite,request_format={endpoint}"
    run(
        *(folder_of("guidellm") / "bin" / "guidellm", "run", "--disable-console-interactive"),
        *("--backend", backend, "--profile", "kind=synchronous"),
        *("--constraint", f"kind=max_requests,count={ROWS}"),
        *("--data", f"kind=synthetic_text,prompt_tokens=32,output_tokens={ANSWER_TOKENS}"),
        *("--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}", "--output", f"kind=json,path={report}"),
    )
    (measured,) = json.loads(report.read_text())["benchmarks"]
    metrics = measured["metrics"]
    assert metrics["request_totals"]["successful"] == ROWS, measured["requests"]["errored"]
    assert metrics["output_token_count"]["successful"]["total_sum"] == ROWS * ANSWER_TOKENS  # it sends ignore_eos
    assert metrics["prompt_token_count"]["successful"]["total_sum"] > 0
    assert metrics["time_to_first_token_ms"]["successful"]["mean"] > 0


@pytest.mark.parametrize(
    ("backend", "endpoint"), [("openai-chat", "/v1/chat/completions"), ("openai", "/v1/completions")]
)
def test_vllm_bench_serve(url: str, tmp_path: Path, backend: str, endpoint: str) -> None:
    run(
        *(sys.executable, HERE / "programs" / "vllm_bench.py"),
        *("--backend", backend, "--base-url", url, "--endpoint", endpoint),
        *("--model", "moa-lite", "--tokenizer", TOKENIZER, "--ignore-eos"),
        *("--dataset-name", "random", "--random-input-len", 32, "--random-output-len", ANSWER_TOKENS),
        *("--num-prompts", ROWS, "--save-result", "--result-dir", tmp_path, "--result-filename", "result.json"),
        VLLM_NO_USAGE_STATS="1",
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["completed"], result["failed"]) == (ROWS, 0)
    assert result["total_output_tokens"] == ROWS * ANSWER_TOKENS
    assert result["mean_ttft_ms"] > 0


@pytest.mark.parametrize("options", [(), ("--per-chunk-usage", "--use-server-token-count")])
def test_aiperf(url: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Streamed; the second time with the usage of the server in every chunk."""
    require("aiperf")
    run(
        *(folder_of("aiperf") / "bin" / "aiperf", "profile", "--ui", "none", "--output-artifact-dir", tmp_path),
        *("--model", "moa-lite", "--url", url, "--endpoint-type", "chat", "--streaming", "--tokenizer", TOKENIZER),
        *("--request-count", ROWS, "--concurrency", 1),
        *("--synthetic-input-tokens-mean", 32, "--output-tokens-mean", ANSWER_TOKENS),
        *("--extra-inputs", "ignore_eos:true", *options),
        HF_HUB_OFFLINE="",  # with it, folders are taken for names of a hub
    )
    report = json.loads((tmp_path / "profile_export_aiperf.json").read_text())
    assert report["completed_request_count"]["avg"] == ROWS
    assert report["usage_completion_tokens"]["sum"] == ROWS * ANSWER_TOKENS
    assert report["output_sequence_length"]["sum"] > 0
    assert report["time_to_first_token"]["avg"] > 0


@pytest.fixture
def evaluated(url: str, tmp_path: Path) -> Callable[..., Any]:
    """Results of one task of lm-eval, whose five rows are in a file beside it."""

    def evaluate(task: str, kind: str, path: str, *options: str, **arguments: object) -> Any:
        require("lm-eval")
        written = yaml.safe_load((TASKS / f"{task}.yaml").read_text())
        written["dataset_kwargs"] = {"data_files": {"test": str(TASKS / "sums.jsonl")}}
        (tmp_path / "tasks").mkdir()
        (tmp_path / "tasks" / f"{task}.yaml").write_text(yaml.safe_dump(written))
        given = {"base_url": f"{url}{path}", "num_concurrent": 1, "max_retries": 1, **arguments}
        run(
            *(folder_of("lm-eval") / "bin" / "lm_eval", "run", "--model", kind, "--tasks", task),
            *("--model_args", ",".join(f"{name}={value}" for name, value in given.items())),
            *("--include_path", tmp_path / "tasks", "--output_path", tmp_path / "results", *options),
            HF_HOME=str(tmp_path / "cache"),
        )
        (report,) = (tmp_path / "results").rglob("results*.json")
        results = json.loads(report.read_text())
        assert results["n-samples"][task]["effective"] == ROWS
        return results["results"][task]

    return evaluate


def test_lm_eval_generation(evaluated: Callable[..., Any]) -> None:
    result = evaluated(
        "sums_generated", "local-chat-completions", "/v1/chat/completions", "--apply_chat_template", model="moa-lite"
    )
    assert result["exact_match,number"] >= 0.4  # two of five sums


def test_lm_eval_log_likelihood(evaluated: Callable[..., Any]) -> None:
    """Of one model: a recipe has no log probabilities. The prompts are tokens, echoed with their log probabilities."""
    chosen = {"tokenizer_backend": "huggingface", "tokenizer": TOKENIZER, "max_length": 2048}
    result = evaluated("sums_chosen", "local-completions", "/v1/completions", model="tiny-qwen", **chosen)
    assert 0 <= result["acc,none"] <= 1
