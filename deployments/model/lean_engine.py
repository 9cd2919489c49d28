"""ray.serve.llm's engine with fewer processes."""

from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.v1.executor.uniproc_executor import UniProcExecutor


class LeanVLLMEngine(VLLMEngine):
    """ray.serve.llm's engine, with a single CPU worker run inside the engine's process.

    vLLM's CPU platform replaces the executor "uni" by one that runs the model in another process, to bind its threads.
    With OMP_NUM_THREADS set that process is not needed; it costs 9 s of one core at start and a hop between processes
    in every step.
    """

    def _prepare_engine_config(self, callback_ctx: Any) -> Any:
        args, frontend, config = super()._prepare_engine_config(callback_ctx)
        parallel = config.parallel_config
        if config.device_config.device_type == "cpu" and parallel.world_size == 1:
            parallel.distributed_executor_backend = UniProcExecutor
        return args, frontend, config
