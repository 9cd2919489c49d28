"""Command line of every `python -m ...`: its `--help` shows all defaults, and its errors are one sentence.

Standard library only, so that a command can refuse its arguments before it imports anything else.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from serving.suggestions import did_you_mean, nearest

Hook = Callable[..., Any]  # `sys.excepthook`


def at_least(low: float, kind: type[int] | type[float] = float, high: float = math.inf) -> Callable[[str], float]:
    """Type of an argument: a number from `low` to `high`, both included; never infinite."""
    first, last = (str(bound) if kind is int else f"{bound:g}" for bound in (low, high))
    bounds = f"of at least {first}" if high == math.inf else f"from {first} to {last}"
    return _bounded(kind, lambda number: low <= number <= high, bounds)


def above(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Type of an argument: a number above `low`, and at most `high`; never infinite."""
    bounds = f"above {low:g}" if high == math.inf else f"above {low:g}, at most {high:g}"
    return _bounded(float, lambda number: low < number <= high, bounds)


def _bounded(kind: type[int] | type[float], allowed: Callable[[float], bool], bounds: str) -> Callable[[str], float]:
    noun = "a whole number" if kind is int else "a number"

    def parsed(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:  # also for more digits than Python converts
            number = math.nan
        if not (abs(number) < math.inf and allowed(number)):
            raise argparse.ArgumentTypeError(f"must be {noun} {bounds}, not '{text}'")
        return number

    return parsed


def _without_interrupts(hook: Hook) -> Hook:
    """Hook for uncaught exceptions that prints one word for Ctrl-C, in place of a traceback; the status stays 130."""

    def excepthook(kind: type[BaseException], *raised: Any) -> Any:
        if issubclass(kind, KeyboardInterrupt):
            print("Stopped.", file=sys.stderr, flush=True)
        else:
            hook(kind, *raised)

    return excepthook


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description, and adds to each option the default that its help does not say."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        said = "default" in text or "required" in text
        if said or action.required or action.default in (None, False, "", argparse.SUPPRESS):
            return text
        return f"{text} (default: %(default)s)" if text else "default: %(default)s"


class CommandLine(argparse.ArgumentParser):
    """Parser whose errors say in one sentence what to change. An unknown option is an error before a missing one.

    Subcommands made with `add_subparsers` are parsed in the same way.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """`options`: of `argparse.ArgumentParser`."""
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(*args, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments; one that is not known ends the program, as every error does, with exit code 2."""
        words = sys.argv[1:] if args is None else list(args)
        if args is None:
            sys.excepthook = _without_interrupts(sys.excepthook)
        self._refuse_unknown_options(words)
        parsed, unknown = super().parse_known_args(words, namespace)
        if unknown:
            self._refuse(unknown[0])
        return parsed, unknown

    def add_subparsers(self, **options: Any) -> Any:
        """Commands of the command: `options` of `argparse.ArgumentParser.add_subparsers`."""
        options.setdefault("metavar", "COMMAND")
        return super().add_subparsers(**options)

    def error(self, message: str) -> NoReturn:
        """Print one sentence, and where all arguments are listed; exit with code 2."""
        sentence = message if message.endswith(("?", ".")) else f"{message}."
        self.exit(2, f"error: {sentence}\n`{self.prog} --help` lists all arguments.\n")

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        """Refuse a word that begins with `--` and is no option. Words behind a subcommand are the subcommand's."""
        commands = self._commands()
        if commands and words and not words[0].startswith("-") and words[0] not in commands:
            return  # the command itself is unknown, which is said in place of its options
        for word in words:
            if word == "--" or word in commands:
                return
            if word.startswith("--") and " " not in word and not self._is_option(word.split("=", 1)[0]):
                self._refuse(word)

    def _is_option(self, word: str) -> bool:
        return any(name.startswith(word) for name in self._option_string_actions)  # may be abbreviated

    def _refuse(self, word: str) -> NoReturn:
        name = word.split("=", 1)[0]
        if not name.startswith("-"):
            self.error(f"there is no argument '{word}' here")
        similar = nearest(name, self._options())
        self.error(f"there is no option '{name}'" + (f"; did you mean '{similar}'?" if similar else ""))

    def _options(self) -> Iterator[str]:
        yield from (name for name in self._option_string_actions if name.startswith("--"))

    def _commands(self) -> dict[str, argparse.ArgumentParser]:
        return {
            name: parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name, parser in action.choices.items()
        }

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action, f"'{value}' is unknown; {did_you_mean(str(value), known)}choose from {', '.join(known)}"
            )
