"""Cost of the largest rules that are accepted: `python -m loadtest.grammar_cost --tokenizer PATH`, one row a limit.

PATH is a folder with a tokenizer or a tokenizer.json. Times are CPU times of one core: of compiling the grammar, of the
part of it that vLLM repeats on the replica's event loop if nobody has compiled the grammar before, and of the slowest
of some tokens, for which all requests of the engine wait.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.command_line import CommandLine
from serving.errors import InvalidRequest
from serving.grammars.check import check_format
from serving.grammars.limits import SchemaLimits
from serving.types import ResponseFormat

if TYPE_CHECKING:
    from xgrammar import TokenizerInfo

TEXT = {"type": "string"}
DEFAULT = Path(__file__).parents[1] / "models" / "tiny" / "weights" / "tiny-qwen"


def obj(names: list[str], *, required: bool = True, value: Any = TEXT) -> dict[str, Any]:
    """Schema of an object with these properties."""
    properties = dict.fromkeys(names, value)
    return {
        "type": "object",
        "properties": properties,
        "required": names if required else [],
        "additionalProperties": False,
    }


def names(count: int, prefix: str = "field") -> list[str]:
    """Names of properties."""
    return [f"{prefix}_{number}" for number in range(count)]


def rows(limits: SchemaLimits) -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and a schema for each limit that has a cost, with as much as the limit allows."""
    yield f"max_properties ({limits.max_properties})", obj(names(limits.max_properties))
    optional = limits.max_optional_properties
    yield f"max_optional_properties ({optional})", obj(names(optional), required=False)
    yield "the same, additionalProperties", {**obj(names(optional), required=False), "additionalProperties": True}
    yield f"max_enum_values ({limits.max_enum_values})", {"enum": names(limits.max_enum_values, "some value")}
    few = limits.max_properties // limits.max_alternatives
    options = [obj(names(few, f"p{number}")) for number in range(limits.max_alternatives)]
    yield f"max_alternatives ({limits.max_alternatives})", {"anyOf": options}
    count = limits.max_definitions
    chained = {
        f"D{number}": obj(["next"], value={"anyOf": [{"$ref": f"#/$defs/D{(number + 1) % count}"}, {"type": "null"}]})
        for number in range(min(count, limits.max_alternatives // 2))
    }
    last = f"D{len(chained) - 1}"
    chained[last] = obj(["end"])
    yield f"max_definitions ({len(chained)} of {count})", {"$ref": "#/$defs/D0", "$defs": chained}
    items = [TEXT] * limits.max_prefix_items
    yield f"max_prefix_items ({len(items)})", {"type": "array", "prefixItems": items, "items": False}
    yield f"max_items ({limits.max_items})", {"type": "array", "items": TEXT, "maxItems": limits.max_items}
    yield "maxLength 20", {"type": "string", "maxLength": 20}
    yield "maxLength 255", {"type": "string", "maxLength": 255}
    yield f"max_length ({limits.max_length})", {"type": "string", "maxLength": limits.max_length}
    yield f"max_multiple ({limits.max_multiple})", {"type": "integer", "multipleOf": limits.max_multiple}
    patterns = {f"p{number}": {**TEXT, "pattern": f"^a{number}.*b$"} for number in range(limits.max_patterns)}
    yield f"max_patterns ({limits.max_patterns})", {"type": "object", "properties": patterns}
    most = limits.max_repetition
    for pattern in (f"[a-z]{{1,{most}}}", f".{{1,{most}}}", f"([a-z]{{1,{most // 11}}}-){{1,11}}"):
        yield f"max_repetition: {pattern}", {"type": "string", "pattern": f"^{pattern}$"}


def beyond(limits: SchemaLimits) -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and a schema for repetitions beyond the limit, and for one that no limit finds: the deadline does."""
    yield "refused: .{1,255}", {"type": "string", "pattern": "^.{1,255}$"}
    yield "refused: ([a-z]{1,30}){1,30}", {"type": "string", "pattern": "^([a-z]{1,30}){1,30}$"}
    yield "deadline: (.?a?){64}b{64}", {"type": "string", "pattern": "^(.?a?){64}b{64}$"}


def vocabulary(path: Path) -> "TokenizerInfo":
    """Vocabulary of a tokenizer."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from xgrammar import TokenizerInfo

    if path.is_dir():
        return TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(path))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))  # type: ignore[no-untyped-call]
    return TokenizerInfo.from_huggingface(tokenizer)


def main() -> None:
    """Print the table."""
    parser = CommandLine(prog="python -m loadtest.grammar_cost", description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=DEFAULT, help="folder or tokenizer.json (default: tiny-qwen)")
    parser.add_argument("--beyond", action="store_true", help="also rules that are refused, which may take minutes")
    args = parser.parse_args()
    from xgrammar import Grammar, GrammarCompiler

    from deployments.model.grammar_worker import slowest_mask_s

    limits, tokens = SchemaLimits(), vocabulary(args.tokenizer)
    print(f"{tokens.vocab_size} tokens\n")
    print("| rule | compile, s | on the event loop, ms | per token, ms |\n|---|---:|---:|---:|")
    for name, schema in [*rows(limits), *(beyond(limits) if args.beyond else ())]:
        refused = ""
        try:
            check_format(ResponseFormat("json_schema", schema=schema), limits)
        except InvalidRequest:
            refused = " (400)"
        compiler = GrammarCompiler(tokens, max_threads=1, cache_enabled=False)
        text = json.dumps(schema)
        started = time.process_time()
        Grammar.from_json_schema(text)
        converted = time.process_time()
        grammar = compiler.compile_json_schema(text)
        compiled = time.process_time()
        slowest = slowest_mask_s(grammar, tokens.vocab_size)
        print(
            f"| {name}{refused} | {compiled - converted:.2f} | {(converted - started) * 1000:.0f} |"
            f" {slowest * 1000:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
