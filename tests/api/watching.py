"""See from outside whether a request waits for a score: each such wait watches for the stop of the service."""

import asyncio


async def somebody_waits() -> bool:
    return any(task.get_name() == "watch-stop" for task in asyncio.all_tasks())


async def nobody_waits() -> bool:
    return not await somebody_waits()
