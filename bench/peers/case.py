"""The peers' case: its three parts, and which of them and of the peers a run takes."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bench.cases import Case, Context, Result, Skipped
from bench.peers.crashes import crashes
from bench.peers.seats import Seats, open_seats
from bench.peers.serving import serving
from bench.peers.streaming import streaming

Part = Callable[[Context, Seats, Sequence[str]], AsyncGenerator[Result | Skipped, None]]
PARTS: dict[str, Part] = {"serving": serving, "streaming": streaming, "crashes": crashes}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is measured; empty: everything."""

    parts: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()

    async def run(self, context: Context) -> AsyncGenerator[Result | Skipped, None]:
        """One part after the other."""
        seats = await open_seats(context)
        for name, part in PARTS.items():
            if not self.parts or name in self.parts:
                async with aclosing(part(context, seats, self.peers)) as results:
                    async for result in results:
                        yield result


def case(selection: Selection) -> Case:
    """Each engine of ours has its row in it, so that it is run once."""
    return Case("peers", "others that do the same, beside us", selection.run, by_engine=False)


CASE = case(Selection())
