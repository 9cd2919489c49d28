"""Start the server from a terminal: `python -m deployments.start [profile=NAME] [port=NUMBER] ...`.

Checks the profile, the ports and the machine, then runs `serve run deployments:moa_app`. What Ray, vLLM and their
libraries print goes to a log file, whose path is printed; errors are shown, too. SIGINT (Ctrl-C), SIGTERM and the end
of the terminal stop the server: requests in progress end first. Of a key that is given twice, the last counts.

Exit status: 0 after a signal; 1 if the server was not started or ended by itself.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from deployments.arguments import checked
from deployments.cluster.preflight import check_start, names_cluster, session_folder
from deployments.cluster.server_log import LogReader, create_log
from deployments.cluster.terminal import VARIABLE
from deployments.config import PROFILE_DIRECTORY, AppArgs
from serving.errors import ConfigError
from serving.suggestions import nearest

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def parse(arguments: Sequence[str]) -> AppArgs:
    """Parse `key=value` words. Of a key that is given twice the last counts, so that an image's own can be replaced.

    Raises:
        ConfigError: a word has another form, an unknown key or a wrong value.
    """
    given: dict[str, str] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"Write '{word}' as key=value, for example {_example(word)}.")
        given[key] = value
    return checked(given)


def _example(word: str) -> str:
    """The argument that was probably meant by a word without `=`."""
    if similar := nearest(word, AppArgs.model_fields):
        return f"{similar}=VALUE"
    names = PROFILE_DIRECTORY.names
    if word in names or word.endswith((".yaml", ".yml")):
        return f"profile={word}"
    if word.isdecimal():
        return f"port={word}"
    similar = nearest(word, names)
    return f"profile={similar}" if similar else "port=8080"


def usage() -> str:
    """Help text: every key with its default and meaning."""
    lines = ["usage: python -m deployments.start [-h] [KEY=VALUE ...]", "", (__doc__ or "").strip(), "", "keys:"]
    for name, field in AppArgs.model_fields.items():
        default = field.get_default(call_default_factory=True)
        said = "Default: " in (field.description or "") or default == ""
        lines.append(f"  {name:<12} {field.description}" + ("" if said else f" (default: {str(default).lower()})"))
    return "\n".join(lines)


class Server:
    """The process of `serve run`, which SIGINT, SIGTERM and SIGHUP to this process stop."""

    def __init__(self) -> None:
        """Take the signals from now on."""
        self.stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: LogReader | None = None
        # Before the server starts, which otherwise inherits an ignored SIGINT, as shells set it for background jobs.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets it
                signal.signal(number, self._stop)

    def run(self, arguments: Sequence[str], log: Path | None) -> int:
        """Run the server until it ends and return the exit status. `log`: file for its output; None: the terminal."""
        command = [str(Path(sys.executable).parent / "serve"), "run", "deployments:moa_app", *arguments]
        if log is None:
            self._process = subprocess.Popen(command, preexec_fn=_end_with_parent)
        else:
            self._reader = LogReader(log, _show)
            terminal = os.dup(sys.stderr.fileno())
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, VARIABLE: str(terminal)},
                    pass_fds=[terminal],
                    preexec_fn=_end_with_parent,
                )
            os.close(terminal)
        if self.stopping:  # since before it was started
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait()
        if self._reader is not None:
            self._reader.close()
        if self.stopping:
            _show("Stopped.")
            return 0
        if self._reader is not None:
            if not self._reader.found:
                _show("\n".join(self._reader.last_lines()))
            _show(f"The server has ended by itself; its log is {log}.")
        return code or 1

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            return
        self.stopping = True
        if self._reader is not None:
            self._reader.silence()  # processes that are stopped in any order complain of each other
        with suppress(OSError):  # the terminal is closed
            os.write(2, b"Stopping ...\n")  # not through a buffer, in whose use the signal may have come
        # Ctrl-C reaches the server too, which takes the first SIGINT only (`deployments.cluster.interrupts`).
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)


def _end_with_parent() -> None:
    """Have Linux stop this process, a new child, with SIGINT if its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGINT)


def _show(line: str) -> None:
    with suppress(OSError):  # the terminal is closed
        print(line, file=sys.stderr, flush=True)


def _log() -> Path | None:
    """A new log file; None: it cannot be written, so that everything is printed on the terminal."""
    try:
        return create_log(session_folder())
    except OSError as error:
        _show(f"The server's log cannot be written ({error.strerror}); all of its output follows.")
        return None


def main(arguments: list[str]) -> int:
    """Run the server until it ends and return its exit status."""
    if {"-h", "--help"} & set(arguments):
        print(usage())
        return 0
    server = Server()
    try:
        args = parse(arguments)
        check_start(args, joins=names_cluster(os.environ))
    except ConfigError as error:
        _show(f"Error: {error}")
        return 1
    if server.stopping:
        return 0
    log = None if args.logs else _log()
    _show("Starting the server ..." if log is None else f"Starting the server; its log is {log} ...")
    return server.run(arguments, log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
