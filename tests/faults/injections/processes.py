"""Faults of consumers: killed anywhere or at a chosen hop, frozen, scaled, coming and going, with a broken engine."""

import asyncio
import time

from tests.faults.ground import SESSION_TIMEOUT_S
from tests.faults.world import Blow, World

HOPS = ("before-score", "before-publish", "after-publish", "before-write", "after-write", "after-commit")
ENGINE_TRAPS = ("raise-once", "nan-once", "oom-over")
_STORM_S = 6


async def kill(world: World) -> Blow:
    """SIGKILL to a member, anywhere in its work."""
    member = await world.fleet.one(world.choose)
    await asyncio.sleep(world.seconds(0, 0.5))
    began_s = time.time()
    world.fleet.kill(member)
    return Blow(began_s, began_s)


async def kill_in_a_row(world: World) -> Blow:
    """SIGKILL to every member, one after the other."""
    members = await world.fleet.working()
    world.choose.shuffle(members)
    began_s = time.time()
    for member in members:
        world.fleet.kill(member)
        await asyncio.sleep(world.seconds(0.2, 2.0))
    return Blow(began_s, time.time())


def kill_at(hop: str) -> "Trap":
    """SIGKILL by its own hand at one of HOPS."""
    return Trap(f"kill:{hop}")


class Trap:
    """A member is replaced by one that ends itself at its n-th batch."""

    def __init__(self, trap: str) -> None:
        self._trap = trap

    async def __call__(self, world: World) -> Blow:
        member = await world.fleet.one(world.choose)
        await world.fleet.trapped(f"{self._trap}:{world.choose.randint(2, 6)}", member)
        at_s = world.fleet.ends[-1].at_s
        return Blow(at_s, at_s)


async def freeze(world: World) -> Blow:
    """SIGSTOP beyond the session timeout, then SIGCONT: a zombie wakes with a batch that another member owns now."""
    member = await world.fleet.one(world.choose)
    began_s = time.time()
    member.freeze()
    await asyncio.sleep(SESSION_TIMEOUT_S + world.seconds(2, 4))
    member.thaw()
    return Blow.since(began_s)


async def scale(world: World) -> Blow:
    """To four members, to one, and back."""
    size = world.fleet.size
    began_s = time.time()
    for count in (4, 1, size):
        await world.fleet.working()
        await world.fleet.scale(count)
    return Blow.since(began_s)


async def storm(world: World) -> Blow:
    """Every second for some seconds one member leaves, and comes back."""
    await world.fleet.working()
    began_s = time.time()
    for _ in range(_STORM_S):
        members = [member for member in world.fleet.members if member.running]
        if members:
            world.fleet.stop(world.choose.choice(members))
        await asyncio.sleep(1)
    return Blow.since(began_s)


async def broken_engine(world: World) -> Blow:
    """A member is replaced by one whose engine raises, answers NaN, or runs out of memory."""
    member = await world.fleet.one(world.choose)
    trap = world.choose.choice(ENGINE_TRAPS)
    began_s = time.time()
    argument = 2 if trap == "oom-over" else world.choose.randint(1, 4)
    await world.fleet.replaced(f"engine:{trap}:{argument}", member)
    return Blow.since(began_s)
