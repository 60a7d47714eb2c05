"""What a fault may be injected into: everything that runs, and a way to tell that all of it works again."""

import random
import time
from dataclasses import dataclass

from tests.faults.fleet import Fleet
from tests.faults.ground import Ground
from tests.faults.reading import Where
from tests.faults.sampling import Sampler
from tests.waiting import eventually

RECOVERY_S = 90.0
"""Longer, and somebody would have to lend a hand."""


@dataclass(frozen=True)
class World:
    """The ground, and the members of one group on it."""

    ground: Ground
    fleet: Fleet
    where: Where
    sampler: Sampler
    choose: random.Random

    def seconds(self, least: float, most: float) -> float:
        """How long a fault lasts."""
        return self.choose.uniform(least, most)

    async def recovered(self, since_s: float) -> None:
        """Wait until every partition has rows that were written after `since_s` (time.time()).

        AssertionError when that takes too long.
        """

        def all_wrote() -> bool:
            self.fleet.check()
            newest = self.sampler.newest_s
            return bool(newest) and min(newest.values()) > since_s

        await eventually(all_wrote, "every partition has new rows", within_s=RECOVERY_S + time.time() - since_s)


@dataclass(frozen=True, slots=True)
class Blow:
    """When a fault began and when it was over: of a kill both are the moment of the kill."""

    began_s: float
    over_s: float

    @classmethod
    def since(cls, began_s: float) -> "Blow":
        """A fault that ends now."""
        return cls(began_s, time.time())
