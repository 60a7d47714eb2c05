"""`python -m bench.counted_monitor`: the role `monitor`, which on SIGUSR1 says as JSON what it has cost so far."""

import json
import runpy
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection


def main() -> None:
    """Run until a signal; exit codes are those of the command."""
    sent = 0
    send: Callable[..., Awaitable[Any]] = AIOKafkaConnection.send

    def counted(self: AIOKafkaConnection, *arguments: Any, **more: Any) -> Awaitable[Any]:
        nonlocal sent
        sent += 1
        return send(self, *arguments, **more)

    def tell(*_: object) -> None:
        sys.stdout.write(json.dumps({"requests": sent, "cpu_s": time.process_time(), "at": time.monotonic()}) + "\n")
        sys.stdout.flush()

    setattr(AIOKafkaConnection, "send", counted)  # noqa: B010  (a method, to mypy, is not to be assigned)
    signal.signal(signal.SIGUSR1, tell)
    sys.argv[1:] = ["monitor"]
    runpy.run_module("cli.main", run_name="__main__")  # a command is started, never imported: as every child here


if __name__ == "__main__":
    main()
