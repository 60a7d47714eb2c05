"""Members of one group, and the supervisor that starts each one again when it ends, as a deployment would."""

import asyncio
import random
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.members import Member, start_member
from tests.system.processes import ROOT
from tests.waiting import eventually

_RESTART_S = 0.5
_LONGEST_LIFE_S = 1e6
_HELPLESS = (2, 3)
"""Exit codes: wrong settings, a safety limit."""
STOP_S = 30.0
WORKING_S = 90.0


@dataclass(frozen=True, slots=True)
class End:
    """One member that ended. `meant`: we brought it about."""

    at_s: float
    code: int
    meant: bool
    last_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the members are: of which tree, with which engine and settings."""

    settings: Mapping[str, object]
    root: Path = ROOT
    engine: str = "fake"


class Fleet:
    """`scale` says how many there are. Made by `run_fleet`."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._members: dict[int, Member] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._leaving: set[int] = set()
        self._meant: set[int] = set()
        """Process ids of members that end because we want it."""
        self._traps: deque[str] = deque()
        self.ends: list[End] = []
        self.starts = 0

    @property
    def size(self) -> int:
        return len(self._keepers)

    @property
    def members(self) -> list[Member]:
        """Those that run, by their slots."""
        return [self._members[slot] for slot in sorted(self._members)]

    async def scale(self, size: int) -> None:
        """Start members, or tell the last ones to leave and wait until they have."""
        slots = sorted(self._keepers)
        for slot in slots[size:]:
            self._leaving.add(slot)
            if (member := self._members.get(slot)) is not None:
                self._meant.add(member.process.pid)
                member.stop()
        for slot in slots[size:]:
            await asyncio.wait_for(self._keepers.pop(slot), STOP_S + WORKING_S)
            self._leaving.discard(slot)
        free = (slot for slot in range(size) if slot not in self._keepers)
        for slot in free:
            self._keepers[slot] = asyncio.create_task(self._keep(slot), name=f"keeper-{slot}")

    async def working(self) -> list[Member]:
        """Wait until every member has decided records since its start."""

        def all_work() -> list[Member]:
            self.check()
            members = self.members
            all_there = len(members) == self.size and all(member.decided and member.partitions for member in members)
            return members if all_there else []

        found: list[Member] = await eventually(all_work, "every member works", within_s=WORKING_S)
        return found

    async def one(self, choose: random.Random) -> Member:
        """Any member, once all work."""
        return choose.choice(await self.working())

    def kill(self, member: Member) -> None:
        """SIGKILL."""
        self._meant.add(member.process.pid)
        member.kill()

    def stop(self, member: Member) -> None:
        """SIGTERM; it comes back."""
        self._meant.add(member.process.pid)
        member.stop()

    def trap(self, trap: str) -> None:
        """The next member that is started gets this trap."""
        self._traps.append(trap)

    async def trapped(self, trap: str, member: Member) -> None:
        """Replace `member` by one with this trap, and wait until it has ended of it."""
        ended = len(self.ends)
        self.trap(trap)
        self.stop(member)

        def both_ended() -> bool:
            self.check()
            return len(self.ends) > ended + 1

        await eventually(both_ended, trap, within_s=WORKING_S)

    async def replaced(self, trap: str, member: Member) -> None:
        """Replace `member` by one with this trap, and wait until all work."""
        self.trap(trap)
        self.stop(member)
        await self.ended(member)
        await self.working()

    async def ended(self, member: Member) -> None:
        """Wait until it is gone."""

        def gone() -> bool:
            self.check()
            return member not in self.members

        await eventually(gone, "it ended", within_s=WORKING_S)

    def check(self) -> None:
        """Raises what a keeper raised; AssertionError where a member cannot help itself: no restart mends that."""
        for end in self.ends:
            helpless = not end.meant and end.code in _HELPLESS
            assert not helpless, f"a member ended with {describe(end.code)}:\n" + "\n".join(end.last_lines)
        for keeper in self._keepers.values():
            if keeper.done():
                keeper.result()

    async def leave(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        count = len(self.ends)
        await self.scale(0)
        return [end.code for end in self.ends[count:]]

    async def close(self) -> None:
        """Kill what still runs."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._keepers.clear()

    async def _keep(self, slot: int) -> None:
        while slot not in self._leaving:
            trap = self._traps.popleft() if self._traps else None
            kind = self._kind
            self.starts += 1
            member = await start_member(kind.settings, root=kind.root, engine=kind.engine, trap=trap)
            self._members[slot] = member
            try:
                if slot in self._leaving:
                    member.stop()
                code = await member.end(within_s=_LONGEST_LIFE_S)
            finally:
                del self._members[slot]
                member.kill()
            meant = member.process.pid in self._meant or trap is not None or slot in self._leaving
            self.ends.append(End(time.time(), code, meant, tuple(member.lines)[-20:]))
            await asyncio.sleep(_RESTART_S)


@asynccontextmanager
async def run_fleet(kind: Kind, size: int) -> AsyncIterator[Fleet]:
    """`size` members, all of them gone at the end."""
    fleet = Fleet(kind)
    await fleet.scale(size)
    try:
        yield fleet
    finally:
        await fleet.close()


def describe(code: int) -> str:
    """An exit code as people write it."""
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
