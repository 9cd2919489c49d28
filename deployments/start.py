"""`serve run deployments:moa_app` for a terminal: `python -m deployments.start [profile=NAME] [port=NUMBER] ...`.

Ends with 0 after Ctrl-C and with 1 where the server did not come up or ended by itself, which `serve run` does not.
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


def parsed(arguments: Sequence[str]) -> AppArgs:
    """`key=value` words as the application takes them. Raises `ConfigError`."""
    if wrong := [word for word in arguments if "=" not in word]:
        raise ConfigError(f"Write '{wrong[0]}' as key=value, such as port=8080.")
    try:
        return AppArgs.model_validate(dict(word.split("=", 1) for word in arguments))
    except ValidationError as error:
        raise ConfigError(first_issue(error, whole="the arguments").sentence) from None


def main(arguments: list[str]) -> int:
    """Run the server until it ends; its exit code, for a shell."""
    try:
        parsed(arguments)
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    asked_to_stop = False
    server = subprocess.Popen([str(Path(sys.executable).parent / "serve"), "run", "deployments:moa_app", *arguments])

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        # Ctrl-C reaches the whole foreground group, so the server has it already; another's SIGTERM came to us alone.
        if number == signal.SIGTERM and not asked_to_stop:
            server.send_signal(signal.SIGINT)
        asked_to_stop = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    print("Starting the server ...", file=sys.stderr, flush=True)
    code = server.wait()
    return 0 if asked_to_stop else code or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
