"""A service that reads what is posted and does nothing with it: what HTTP alone costs with the same client."""

import socket
import sys

import uvicorn
import uvloop
from fastapi import FastAPI, Request


def hollow_app() -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def read(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return app


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it, as those of ours do
        # Who connects before the server has started waits in the socket's queue.
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(uvicorn.Config(hollow_app(), log_level="warning")).serve([listening])


if __name__ == "__main__":
    uvloop.run(main())
