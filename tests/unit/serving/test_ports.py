"""The check of a port before a server is started."""

import socket

import pytest

from serving.errors import ConfigError
from serving.ports import check_port, free_port


def test_a_port_in_use_is_refused_and_free_again_when_its_program_ends() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            check_port("127.0.0.1", port, "add --port NUMBER", " of the page")
    assert str(caught.value) == (
        f"Port {port} of the page on 127.0.0.1 cannot be used (Address already in use); stop the program that listens"
        " there, or add --port NUMBER."
    )
    check_port("127.0.0.1", port, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", "::1", "::"])
def test_all_addresses_of_this_machine_can_be_used(host: str) -> None:
    check_port(host, free_port(), "")
