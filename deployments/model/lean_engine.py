"""ray.serve.llm's engine with fewer processes."""

from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.model_executor.model_loader.utils import get_model_cls
from vllm.model_executor.models import supports_lora
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from serving.errors import ConfigError


class LeanVLLMEngine(VLLMEngine):
    """ray.serve.llm's engine, with a single CPU worker run inside the engine's process.

    vLLM's CPU platform replaces the executor "uni" by one that runs the model in another process, to bind its threads.
    With OMP_NUM_THREADS set that process is not needed; it costs 9 s of one core at start and a hop between processes
    in every step.
    """

    def _prepare_engine_config(self, callback_ctx: Any) -> Any:
        args, frontend, config = super()._prepare_engine_config(callback_ctx)
        check_lora(config)
        parallel = config.parallel_config
        if config.device_config.device_type == "cpu" and parallel.world_size == 1:
            parallel.distributed_executor_backend = UniProcExecutor
        return args, frontend, config


def check_lora(config: Any) -> None:
    """Raise `ConfigError` if LoRA adapters are to be loaded into a model whose code in vLLM has no place for them.

    Args:
        config: vLLM's configuration of the engine. vLLM itself finds that out in the engine's process, in its log.
    """
    if config.lora_config is None:
        return
    model = config.model_config
    if not supports_lora(get_model_cls(model)):
        raise ConfigError(
            f"vLLM loads no LoRA adapters into the architecture {', '.join(model.architectures)} of"
            f" '{model.served_model_name}'; remove its adapters, or merge each into weights of its own."
        )
