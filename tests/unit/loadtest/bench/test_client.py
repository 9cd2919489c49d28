import aiohttp

from loadtest.bench.client import ask, chat_body


async def test_a_host_that_is_gone_is_an_error_of_the_answer(http: aiohttp.ClientSession) -> None:
    answer = await ask(http, "http://127.0.0.1:9", chat_body("a", [], 1, stream=True))
    assert answer.exchange.error == "connection: ClientConnectorError"
