"""Untrained copies of a profile's models: same sizes, same tokenizers, random weights from a fixed seed.

A trained model that is forced to continue after its end token mostly repeats that token, which has no text: proposals
of 512 tokens would be empty, and the aggregator's prompt short. Models with random weights generate text up to the
last token, at the same time per token. They are restricted to words that are one token in every model of the team:
with these small vocabularies, a word of one model is several tokens in another, and a proposal of 512 tokens would be
1,500 tokens of the aggregator's prompt.
"""

import shutil
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import yaml

from deployments.config import PROFILES, Profile, load_profile
from deployments.weights_source import ROOT

SEED = 0
SPREAD = 0.2  # standard deviation of the output weights: small, so that all words are likely
WEIGHTS = ("*.safetensors", "*.bin", "*.index.json", "config.json")


def untrained(name: str, out: Path) -> tuple[Profile, Path]:
    """Copy the profile `name` with untrained local models; return the new profile and its YAML file.

    Raises:
        ConfigError: there is no such profile.
    """
    load_profile(name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    raw = yaml.safe_load(path.read_text())
    local = [model for model in raw["models"] if (ROOT / model["source"]).is_dir()]
    tokenizers = {model["id"]: _tokenizer(ROOT / model["source"]) for model in local}
    written = common_words(tokenizers)
    for model in local:
        copy = (out / model["id"]).resolve()
        _copy(ROOT / model["source"], copy, written[model["id"]])
        model["source"] = str(copy)
    out.mkdir(parents=True, exist_ok=True)
    profile = (out / "profile.yaml").resolve()
    profile.write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_profile(str(profile)), profile


def common_words(tokenizers: Mapping[str, Any]) -> dict[str, Set[int]]:
    """Find the words, with a leading blank, that are one token in every tokenizer; return their ids by model."""
    words: set[str] | None = None
    for tokenizer in tokenizers.values():
        texts = {tokenizer.decode([i]) for i in tokenizer.get_vocab().values()}
        own = {text for text in texts if text[:1] == " " and text[1:].isascii() and text[1:].isalpha()}
        words = own if words is None else words & own
    ids = {model: {word: _ids(tokenizer, word) for word in words or ()} for model, tokenizer in tokenizers.items()}
    whole = {word for word in words or () if all(len(ids[model][word]) == 1 for model in tokenizers)}
    return {model: {ids[model][word][0] for word in whole} for model in tokenizers}


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _tokenizer(source: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source)


def _copy(source: Path, target: Path, written: Set[int]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no annotations here
    shutil.rmtree(target, ignore_errors=True)
    torch.manual_seed(SEED)
    config = AutoConfig.from_pretrained(source)
    config.tie_word_embeddings = False  # with tied weights a word would predict itself
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]  # as above
    if written:
        _only(model, written)
    model.save_pretrained(target)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*WEIGHTS), dirs_exist_ok=True)


def _only(model: Any, written: Set[int]) -> None:
    """Restrict `model` to these ids: one constant input dimension has a negative weight for all others."""
    import torch

    taken, made = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    others = [i for i in range(len(made)) if i not in written]
    with torch.no_grad():
        taken[:, 0] = 10.0  # the others are about 0.02: large, so that it persists through the layers
        made.normal_(std=SPREAD)
        made[:, 0] = 0.0
        made[others, 0] = -5.0
