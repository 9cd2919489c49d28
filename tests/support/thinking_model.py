"""A tokenizer and a chat template with thinking and tools, in the style of Qwen3 and Hermes."""

from functools import cache
from typing import Any

from tokenizers import AddedToken
from transformers import AutoTokenizer

from tests.support.paths import ROOT

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|python_tag|>")
TEMPLATE = """
{%- if tools -%}
{{- '<|im_start|>system\\n# Tools\\n' -}}
{%- for tool in tools -%}{{- tool | tojson + '\\n' -}}{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.reasoning_content -%}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' -}}{%- endif -%}
{{- message.content -}}
{%- for call in message.tool_calls or [] -%}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' -}}
{{- call.function.arguments | tojson + '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and not enable_thinking -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
{%- endif -%}
"""


@cache
def thinking_tokenizer() -> Any:
    """tiny-qwen's tokenizer with the tags as tokens."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-qwen")
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    tokenizer.chat_template = TEMPLATE
    return tokenizer
