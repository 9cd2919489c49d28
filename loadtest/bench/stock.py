"""Stock `ray.serve.llm` with one model: `python -m loadtest.bench.stock PORT MODEL`, the model as JSON.

Ray Serve and ray.serve.llm with their own proxy, ingress and settings. Only the engine options and the placement on
CPUs are given. `deployments` is not imported: it would apply this server's settings.
"""

import json
from typing import TYPE_CHECKING, Any

from serving.command_line import CommandLine

if TYPE_CHECKING:
    from ray.serve.llm import LLMConfig

LOGICAL_CPUS = 8  # for Ray's placement only


def stock_config(model: dict[str, Any]) -> "LLMConfig":
    """Convert a model with the keys id, source, accelerator, engine_kwargs and env."""
    from ray.serve.llm import LLMConfig

    return LLMConfig(
        model_loading_config={"model_id": model["id"], "model_source": model["source"]},
        accelerator_config={"kind": model["accelerator"]},
        engine_kwargs=model["engine_kwargs"],
        runtime_env={"env_vars": model["env"]},
    )


def main() -> None:
    """Serve until the process is ended."""
    parser = CommandLine(prog="python -m loadtest.bench.stock", description=__doc__)
    parser.add_argument("port", type=int, metavar="PORT", help="port to listen on")
    parser.add_argument(
        "model", type=json.loads, metavar="MODEL", help="JSON with id, source, accelerator, engine_kwargs and env"
    )
    given = parser.parse_args()
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions
    from ray.serve.llm import build_openai_app

    ray.init(num_cpus=LOGICAL_CPUS, include_dashboard=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=given.port))
    serve.run(build_openai_app({"llm_configs": [stock_config(given.model)]}), blocking=True)


if __name__ == "__main__":
    main()
