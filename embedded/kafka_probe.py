"""Ask a Kafka broker whether it is ready, with the one request that this takes."""

import asyncio
import struct

METADATA, VERSION, CORRELATION, CLIENT = 3, 5, 1, b"probe"
ATTEMPT_S, PAUSE_S = 2.0, 0.05


async def broker_answers(host: str, port: int) -> None:
    """Return once the broker's metadata names at least one broker."""
    while True:
        try:
            if await asyncio.wait_for(_brokers(host, port), ATTEMPT_S):
                return
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # not listening yet, or not serving yet
        await asyncio.sleep(PAUSE_S)


async def _brokers(host: str, port: int) -> int:
    """Number of brokers in a Metadata response: https://kafka.apache.org/protocol, version 5, about no topic."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        header = struct.pack(f">hhih{len(CLIENT)}s", METADATA, VERSION, CORRELATION, len(CLIENT), CLIENT)
        no_topics, no_creation = struct.pack(">i", 0), b"\x00"
        request = header + no_topics + no_creation
        writer.write(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        answer = await reader.readexactly(size)
        _correlation, _throttle_ms, brokers = struct.unpack_from(">iii", answer)
        return int(brokers)
    finally:
        writer.close()
