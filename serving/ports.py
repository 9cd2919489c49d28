"""TCP ports of this machine: a free one, and a check before a server is started."""

import errno
import secrets
import socket
from contextlib import suppress

from serving.errors import ConfigError

LOOPBACK = "127.0.0.1"
FIRST, FIRST_OUTGOING = 20_000, 32_768  # the second is Linux's first port of outgoing connections
ATTEMPTS = 100


def free_port() -> int:
    """A port of the loopback interface that nothing listens on.

    It is none of those that the system gives to outgoing connections, of which one could take it before it is used.
    """
    for _ in range(ATTEMPTS):
        port = FIRST + secrets.randbelow(FIRST_OUTGOING - FIRST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int, change: str, use: str = "") -> None:
    """Raise `ConfigError` if the port cannot be bound.

    Args:
        host: Address to listen on, IPv4 or IPv6, or a name.
        port: The port.
        change: End of the sentence, which says how to choose another port: "add port=NUMBER".
        use: What listens there, for the sentence: " of the dashboard".
    """
    wrong_host = (
        f"'{host}' is no address of this machine; set the host to one, such as 127.0.0.1, or 0.0.0.0 for all networks."
    )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise ConfigError(wrong_host) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(wrong_host) from None
        raise ConfigError(
            f"Port {port}{use} on {host} cannot be used ({error.strerror}); stop the program that listens there, or"
            f" {change}."
        ) from None
