"""From what the services did to rows: each by itself, ours over each peer, and ours over naive against bare loops."""

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.bare import Bare
from bench.cases import Goal, Result
from bench.peers.catalogue import NAIVE
from bench.peers.contender import Contender

AGAINST_NAIVE = 32
GOAL = Goal(at_least=0.8)
AHEAD = Goal(at_least=1.0)


@dataclass(slots=True)
class Floor:
    """What a service adds nothing to: its engine in a bare loop; images a second, one a round."""

    loop: Bare
    images: int
    """Of a round: many batches, or the first ones, decoded before the clock starts, would count for too much."""
    rates: list[float] = field(default_factory=list)

    async def turn(self) -> None:
        """One round."""
        self.rates.append(await self.loop.rate(self.images))


def compared(
    contenders: Mapping[str, Contender],
    floors: Mapping[str, Floor],
    concurrencies: Sequence[int],
    versions: Mapping[str, str],
) -> Iterator[Result]:
    """All rows of the part."""
    yield from _table(contenders.values(), concurrencies, versions)
    yield from _ratios(contenders, concurrencies)
    yield from _against_naive(
        contenders, floors, AGAINST_NAIVE if AGAINST_NAIVE in concurrencies else concurrencies[-1]
    )


def _table(
    contenders: Iterable[Contender], concurrencies: Sequence[int], versions: Mapping[str, str]
) -> Iterator[Result]:
    """What each did by itself."""
    for one in contenders:
        version = versions.get(one.service.name, "")
        for concurrency in concurrencies:
            times = {name: one.percentiles_ms(concurrency, share) for name, share in (("p50", 0.5), ("p99", 0.99))}
            shown = ", ".join(f"{name} {statistics.median(figures):.0f} ms" for name, figures in times.items())
            rates = one.rates(concurrency)
            yield Result(f"{one.name} at {concurrency}", one.engine, "requests/s", rates, note=shown, raw=times)
        at_rest = f"{one.resting_mb:.0f} at rest{f', {version}' if version else ''}"
        yield Result(f"{one.name}, memory", one.engine, "MB", tuple(one.busy_mb), note=at_rest)


def _ratios(contenders: Mapping[str, Contender], concurrencies: Sequence[int]) -> Iterator[Result]:
    """Ours at a peer's own arithmetic, and ours as it comes, over each peer."""
    ours = [one for one in contenders.values() if one.is_ours]
    for mine, peer in itertools.product(ours, (one for one in contenders.values() if not one.is_ours)):
        same = mine.engine.split()[1] == peer.service.precision
        if not same and mine is not ours[min(1, len(ours) - 1)]:
            continue
        for concurrency in concurrencies:
            name = f"{mine.name} / {peer.name} at {concurrency}"
            yield Result(name, mine.engine, "ratio", _over(mine.rates(concurrency), peer.rates(concurrency)), AHEAD)
            times = (one.percentiles_ms(concurrency, 0.99) for one in (peer, mine))
            yield Result(f"{name}, p99 theirs / ours", mine.engine, "ratio", _over(*times), AHEAD)


def _against_naive(
    contenders: Mapping[str, Contender], floors: Mapping[str, Floor], concurrency: int
) -> Iterator[Result]:
    """How much of the engines' own ratio is left between the two services."""
    naive = contenders.get(NAIVE.name)
    if naive is None:
        return
    for name, one in contenders.items():
        if one.is_ours:
            services = _over(one.rates(concurrency), naive.rates(concurrency))
            engines = _over(floors[name].rates, floors[NAIVE.name].rates)
            goal = GOAL if one.engine.split()[1] in {"bf16", "int8"} else None
            raw = {"services": services, "bare loops": engines}
            what = f"({name} / naive at {concurrency}) / bare"
            yield Result(what, one.engine, "ratio", _over(services, engines), goal, raw=raw)


def _over(a: Iterable[float], b: Iterable[float]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(a, b, strict=True))
