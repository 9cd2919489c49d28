import pytest

from loadtest.bench.transports import ANSWER, CLIENTS, REQUEST, SERVERS, decode, encode, main, servers


@pytest.mark.parametrize("name", ["frames", "zmq", "http"])
async def test_a_transport_carries_requests_and_answers(name: str) -> None:
    with servers((name,)) as ports:
        async with CLIENTS[name](ports[name]) as call:
            for _ in range(3):
                assert decode(await call(encode(REQUEST))) == ANSWER


def test_each_server_has_a_client() -> None:
    assert SERVERS.keys() == CLIENTS.keys()


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "--rounds" in capsys.readouterr().err
