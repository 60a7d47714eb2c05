"""Which faults there are, and a seeded order in which every kind comes before any comes again."""

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping

from tests.faults.injections import cluster, lines, processes, store
from tests.faults.world import Blow, World

Injection = Callable[[World], Awaitable[Blow]]
Kinds = Mapping[str, tuple[Injection, ...]]

FAULTS: Kinds = {
    "consumer killed": (processes.kill,),
    "consumers killed in a row": (processes.kill_in_a_row,),
    "consumer killed at a hop": tuple(processes.kill_at(hop) for hop in processes.HOPS),
    "consumer frozen past its session": (processes.freeze,),
    "scaled to 4, to 1 and back": (processes.scale,),
    "rebalance storm": (processes.storm,),
    "engine raises, NaN, out of memory": (processes.broken_engine,),
    "broker stopped": (cluster.stop_node,),
    "partition leader killed": (cluster.kill_leader,),
    "group coordinator killed": (cluster.kill_coordinator,),
    "broker frozen": (cluster.freeze_node,),
    "database stopped": (store.stop,),
    "database killed": (store.kill,),
    "database frozen": (store.freeze,),
    "line to the database reset or slow": (lines.Reset(lines.database), lines.Slow(lines.database)),
    "line to the database half open": (lines.Silent(lines.database),),
    "lines to the brokers reset or slow": (lines.Reset(lines.brokers), lines.Slow(lines.brokers)),
    "lines to the brokers half open": (lines.Silent(lines.brokers),),
    "cut in the middle of COMMIT": (store.cut_commit,),
    "database read-only or full": (store.read_only, store.disk_full),
    "database slow, 5 s a statement": (store.slow_statements,),
    "image source away": (lines.Refused(lines.image_source), lines.Silent(lines.image_source)),
}
REAL_FAULTS: Kinds = {
    "consumer killed": (processes.kill,),
    "consumer killed at a hop": tuple(processes.kill_at(hop) for hop in processes.HOPS),
    "consumer frozen past its session": (processes.freeze,),
    "partition leader killed": (cluster.kill_leader,),
    "database killed": (store.kill,),
    "cut in the middle of COMMIT": (store.cut_commit,),
}
"""Against the members with the real engine, which start more slowly."""
ONCE = "partitions added"


def faults(choose: random.Random, kinds: Kinds = FAULTS) -> Iterator[tuple[str, Injection]]:
    """Without end: rounds of all kinds, each round in an order of its own; the variants of a kind take turns."""
    number = 0
    while True:
        names = list(kinds)
        choose.shuffle(names)
        for name in names:
            variants = kinds[name]
            yield name, variants[number % len(variants)]
        if number == 0:
            yield ONCE, cluster.add_partitions
        number += 1
