"""Stock `ray.serve.llm` with one model: `python -m loadtest.bench.stock PORT MODEL`, the model as JSON.

Ray Serve and ray.serve.llm with their own proxy, ingress and settings. Only the engine options and the placement on
CPUs are given. `deployments` is not imported: it would apply this server's settings.
"""

import json
import sys
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.llm import LLMConfig, build_openai_app

LOGICAL_CPUS = 8  # for Ray's placement only


def stock_config(model: dict[str, Any]) -> LLMConfig:
    """Convert a model with the keys id, source, accelerator, engine_kwargs and env."""
    return LLMConfig(
        model_loading_config={"model_id": model["id"], "model_source": model["source"]},
        accelerator_config={"kind": model["accelerator"]},
        engine_kwargs=model["engine_kwargs"],
        runtime_env={"env_vars": model["env"]},
    )


def main(port: str, model: str) -> None:
    """Serve until the process is ended."""
    ray.init(num_cpus=LOGICAL_CPUS, include_dashboard=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(port)))
    serve.run(build_openai_app({"llm_configs": [stock_config(json.loads(model))]}), blocking=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
