"""Start the server from a terminal: `python -m deployments.start [profile=NAME] [port=NUMBER] ...`.

Runs `serve run deployments:moa_app` and corrects its exit status: 0 after Ctrl-C, 1 if the server did not start or
ended by itself.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from deployments.config import AppArgs
from serving.errors import ConfigError
from serving.validation import first_issue


def parse(arguments: Sequence[str]) -> AppArgs:
    """Parse `key=value` words.

    Raises:
        ConfigError: a word has another form, an unknown key or a wrong value.
    """
    if wrong := [word for word in arguments if "=" not in word]:
        raise ConfigError(f"Write '{wrong[0]}' as key=value, for example port=8080.")
    try:
        return AppArgs.model_validate(dict(word.split("=", 1) for word in arguments))
    except ValidationError as error:
        raise ConfigError(first_issue(error, whole="the arguments").sentence) from None


def main(arguments: list[str]) -> int:
    """Run the server until it ends and return its exit status."""
    try:
        parse(arguments)
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        # Ctrl-C reaches the whole foreground process group, the server included; a SIGTERM reaches this process only.
        if number == signal.SIGTERM and not stopping:
            server.send_signal(signal.SIGINT)
        stopping = True

    # Before the server starts, which otherwise inherits an ignored SIGINT, as shells set it for background jobs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server = subprocess.Popen([str(Path(sys.executable).parent / "serve"), "run", "deployments:moa_app", *arguments])
    print("Starting the server ...", file=sys.stderr, flush=True)
    code = server.wait()
    return 0 if stopping else code or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
