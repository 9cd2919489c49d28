"""`GET /console` and its static files."""

from serving.api.exchange import HttpExchange
from serving.console import files


async def console(exchange: HttpExchange) -> None:
    """Answer with the file at the path, or 304 if the client has it already."""
    file = files()[exchange.path]
    if exchange.headers.get(b"if-none-match") == file.etag:
        await exchange.start(304, file.headers)
        await exchange.write(b"", more=False)
        return
    await exchange.start(200, (*file.headers, (b"content-length", str(len(file.body)).encode())))
    await exchange.write(b"" if exchange.method == "HEAD" else file.body, more=False)
