"""Start the server from a terminal: `python -m deployments.start [profile=NAME] [port=NUMBER] ...`.

Runs `serve run deployments:moa_app`, passes SIGINT and SIGTERM on to it as one SIGINT, and corrects its exit status: 0
after a signal, 1 if the server did not start or ended by itself.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from deployments.config import AppArgs, load_profile
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
        issue = first_issue(error, whole="the arguments")
        if issue.kind == "extra_forbidden":
            keys = ", ".join(AppArgs.model_fields)
            raise ConfigError(f"There is no key '{issue.path}'; choose one of {keys}.") from None
        raise ConfigError(issue.sentence) from None


def usage() -> str:
    """Help text: every key with its default and meaning."""
    lines = ["usage: python -m deployments.start [KEY=VALUE ...]", "", "keys:"]
    for name, field in AppArgs.model_fields.items():
        default = field.get_default(call_default_factory=True)
        lines.append(f"  {name:<12} {field.description} (default: {str(default).lower() or 'none'})")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the server until it ends and return its exit status."""
    if {"-h", "--help"} & set(arguments):
        print(usage())
        return 0
    try:
        load_profile_named(parse(arguments))
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    server: subprocess.Popen[bytes] | None = None
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        # Ctrl-C reaches the server too, which takes the first SIGINT only (`deployments.cluster.interrupts`).
        if server is not None and not stopping:
            server.send_signal(signal.SIGINT)
        stopping = True

    # Before the server starts, which otherwise inherits an ignored SIGINT, as shells set it for background jobs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    print("Starting the server ...", file=sys.stderr, flush=True)
    server = subprocess.Popen([str(Path(sys.executable).parent / "serve"), "run", "deployments:moa_app", *arguments])
    if stopping:
        server.send_signal(signal.SIGINT)
    code = server.wait()
    return 0 if stopping else code or 1


def load_profile_named(args: AppArgs) -> None:
    """Check the profile that `args` names, before anything is started. Raises `ConfigError`."""
    if args.profile:
        load_profile(args.profile)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
