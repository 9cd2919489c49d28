"""Training of one model with TRL: supervised fine-tuning, or DPO, of all weights or of a LoRA adapter."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.trainer_utils import get_last_checkpoint
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from serving.failures import said
from training.errors import TrainingError
from training.example import Example, PairExample
from training.trainer_settings import RESULT, WEIGHTS, TrainerSettings

CHECKPOINTS = "checkpoints"  # of TRL, for the resumption
ROUTERS = {"gate", "router", "shared_expert_gate"}
# All other files of the base weights' folder are copied: tokenizer, chat template, generation settings, code.
REPLACED = ("config.json",)
REPLACED_SUFFIXES = (".safetensors", ".bin", ".index.json", ".gguf", ".pt", ".pth")


@dataclass(frozen=True, slots=True)
class Start:
    """Weights from which a model's training starts."""

    base: str  # folder or Hugging Face id
    adapter: Path | None = None  # LoRA adapter of an earlier iteration on top of it
    trusted: bool = False  # run the code that comes with the weights


class TokenizedDPOTrainer(DPOTrainer):
    """TRL's trainer for pairs whose token ids are known: they are the prompts that the server rendered."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        """The dataset as it is: TRL would render and tokenize text here."""
        return dataset


def train_sft(start: Start, examples: Sequence[Example], out: Path, settings: TrainerSettings) -> dict[str, float]:
    """Fine-tune on `examples`, with the loss on their completions only, and write the weights to `out`.

    A second call after an interruption continues at the last checkpoint.

    Returns:
        Steps, and the mean training loss in nats per token.
    """
    args = SFTConfig(
        **_common(out, settings, settings.learning_rate),
        completion_only_loss=True,
        max_length=settings.max_tokens,
        packing=False,
    )
    model, tokenizer, lora = _loaded(start, settings)
    trainer = SFTTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list([one.row for one in examples]),
        processing_class=tokenizer,
        peft_config=lora,
    )
    return _trained(trainer, start, out, settings)


def train_dpo(start: Start, pairs: Sequence[PairExample], out: Path, settings: TrainerSettings) -> dict[str, float]:
    """Train on preferences with `start` as the reference model, and write the weights to `out`; as `train_sft`."""
    args = DPOConfig(
        **_common(out, settings, settings.dpo_learning_rate), beta=settings.beta, max_length=settings.max_tokens
    )
    model, tokenizer, lora = _loaded(start, settings)
    reference = None if settings.lora_rank else _model(start)
    trainer = TokenizedDPOTrainer(
        model=model,
        ref_model=reference,
        args=args,
        train_dataset=Dataset.from_list([one.row for one in pairs]),
        processing_class=tokenizer,
        peft_config=lora,
    )
    return _trained(trainer, start, out, settings)


def _common(out: Path, settings: TrainerSettings, learning_rate: float) -> dict[str, Any]:
    """Arguments of both trainers."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / CHECKPOINTS),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps,
        "learning_rate": learning_rate,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "use_cpu": not gpu,
        "activation_checkpointing": gpu,  # memory is the limit there; on a CPU it costs time only
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 1,
        "logging_steps": 10,
        "report_to": "none",
        "dataloader_pin_memory": gpu,
    }


def _model(start: Start) -> PreTrainedModel:
    """The base weights, in float32: small updates vanish in bfloat16."""
    try:
        found: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            start.base, dtype=torch.float32, trust_remote_code=start.trusted
        )
    except (OSError, ValueError) as error:
        raise TrainingError(f"The weights '{start.base}' cannot be loaded: {said(error)}.") from None
    return found


def _loaded(start: Start, settings: TrainerSettings) -> tuple[Any, Any, LoraConfig | None]:
    """Model, tokenizer, and the configuration of a new adapter if there is none to continue."""
    torch.manual_seed(settings.seed)
    model: Any = _model(start)
    tokenizer: Any = AutoTokenizer.from_pretrained(start.base, trust_remote_code=start.trusted)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not settings.lora_rank:
        return model, tokenizer, None
    if start.adapter is not None:
        return PeftModel.from_pretrained(model, str(start.adapter), is_trainable=True), tokenizer, None
    lora = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=2 * settings.lora_rank,
        target_modules=adapted_modules(model),
        task_type="CAUSAL_LM",
    )
    return model, tokenizer, lora


def adapted_modules(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers that get an adapter: all but the output layer and the routers of experts.

    PEFT's "all-linear" adapts fused experts too, at another rank, which vLLM does not serve.
    """
    output = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    }
    return sorted(names - ROUTERS)


def _trained(trainer: Any, start: Start, out: Path, settings: TrainerSettings) -> dict[str, float]:
    checkpoints = out / CHECKPOINTS
    last = None
    if checkpoints.is_dir():
        last = get_last_checkpoint(str(checkpoints))  # type: ignore[no-untyped-call]
    result = trainer.train(resume_from_checkpoint=last)
    found = {"steps": float(result.global_step), "loss": float(result.training_loss)}
    if trainer.is_world_process_zero():
        weights = out / WEIGHTS
        unfinished = out / f"{WEIGHTS}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(weights, ignore_errors=True)
        _save(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class, start, unfinished, settings)
        (out / RESULT).write_text(json.dumps(found), encoding="utf-8")
        unfinished.rename(weights)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return found


def _save(model: Any, tokenizer: Any, start: Start, out: Path, settings: TrainerSettings) -> None:
    """Write an adapter, or a whole folder of weights in the type of the base weights."""
    out.mkdir(parents=True)
    if settings.lora_rank:
        model.save_pretrained(out, selected_adapters=["default"])
        return
    base = Path(start.base)
    model.to(_base_dtype(start)).save_pretrained(out)
    if not base.is_dir():
        tokenizer.save_pretrained(out)
        return
    for file in base.iterdir():
        if file.is_file() and file.name not in REPLACED and not file.name.endswith(REPLACED_SUFFIXES):
            shutil.copy2(file, out / file.name)


def _base_dtype(start: Start) -> torch.dtype:
    """Type of the base weights, by their `config.json`, or by the weights themselves if it names none."""
    named: torch.dtype | None = AutoConfig.from_pretrained(start.base, trust_remote_code=start.trusted).dtype
    if named is not None:
        return named
    weights: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        start.base, dtype="auto", trust_remote_code=start.trusted
    )
    return weights.dtype
