"""Fuzz one target by coverage: `python -m loadtest.torture.fuzz_coverage TARGET [OPTION ...]`; needs atheris.

The options are libFuzzer's.
"""

import sys


def main() -> None:
    """Run until libFuzzer's limits, or a failure, whose input is written to a file."""
    import atheris  # an optional tool: requirements/fuzz.txt

    name, options = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["serving", "deployments.config"]):
        from loadtest.torture.fuzz_targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
