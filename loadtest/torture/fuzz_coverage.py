"""Fuzz one target by coverage: `python -m loadtest.torture.fuzz_coverage TARGET [OPTION ...]`; needs atheris.

The options are libFuzzer's.
"""

import sys

from serving.command_line import CommandLine
from serving.suggestions import did_you_mean


def main() -> None:
    """Run until libFuzzer's limits, or a failure, whose input is written to a file."""
    parser = CommandLine(prog="python -m loadtest.torture.fuzz_coverage", description=__doc__)
    parser.add_argument("target", metavar="TARGET", help="name in `TARGETS` of loadtest/torture/fuzz_targets.py")
    parser.add_argument("options", nargs="*", metavar="OPTION", help="options of libFuzzer, such as -max_total_time=60")
    name, options = parser.parse_args(sys.argv[1:2]).target, sys.argv[2:]  # libFuzzer's begin with a dash, too
    try:
        import atheris
    except ImportError:
        sys.exit("Error: atheris is not installed; run: pip install -r requirements/fuzz.txt")
    with atheris.instrument_imports(include=["serving", "deployments.config"]):
        from loadtest.torture.fuzz_targets import TARGETS
    if name not in TARGETS:
        parser.error(f"there is no target '{name}'; {did_you_mean(name, TARGETS)}choose from {', '.join(TARGETS)}")
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
