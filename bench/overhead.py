"""`python -m bench.overhead`: what the stream costs without a model, hop by hop, against a bare loop.

A real broker, a real database, every index; only the core is a stand-in that answers at once (`instant_core.py`).
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
import uvloop
from aiokafka import AIOKafkaProducer

from bench import process_table
from bench.bare_stream import Bare, run_bare_stream
from bench.instant_core import instant_worker
from broker.topics import create_topics
from embedded.jars import fetch_jars
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from inference.allocator import keep_freed_memory
from settings import LogSettings, Settings
from store.migrations import migrate
from telemetry import Metrics, configure_logging

PARTITIONS = 12
_TICK_S = 0.02
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_HOPS = ("poll", "decode", "skip", "score", "publish", "write", "commit")


@dataclass(frozen=True, slots=True)
class Load:
    """What is published before anything is measured: binary CloudEvents, no two alike."""

    records: int = 40_000
    record_bytes: int = 10_000
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over all records, from the first poll to the last commit."""

    records_per_s: float
    cpu_us: dict[str, float]
    """Microseconds of processor time for one record: of the loop's own process, of Kafka, of PostgreSQL."""
    hop_us: dict[str, float] = field(default_factory=dict)
    """Microseconds of each hop for one record, by the clock; hops overlap."""
    batches: int = 0
    stall_ms: float = 0.0
    """The longest time that the event loop did not turn: heartbeats wait for it."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Alternating runs of the stream and of the bare loop."""

    load: Load
    stream: list[Run]
    bare: list[Run]

    @property
    def ratios(self) -> list[float]:
        """Of each round: the stream's records a second over the bare loop's."""
        return [ours.records_per_s / bare.records_per_s for ours, bare in zip(self.stream, self.bare, strict=True)]


@dataclass(frozen=True, slots=True)
class _Ground:
    """Broker and database that stay for all runs."""

    servers: str
    database_url: str
    pids: dict[str, int]
    settings: Settings


async def measure_overhead(load: Load, folder: Path) -> Overhead:
    """Publish once, then let both work through it in turn, each time as a new group and into empty tables."""
    stream, bare = [], []
    async with _ground(folder) as ground:
        await _publish(ground, load)
        for number in range(load.rounds):
            bare.append(await _bare(ground, load, f"bare-{number}"))
            stream.append(await _stream(ground, load, f"stream-{number}"))
    return Overhead(load, stream, bare)


@asynccontextmanager
async def _ground(folder: Path) -> AsyncIterator[_Ground]:
    base = Settings(_env_file=None)
    jars = await fetch_jars(base.cache_dir, base.maven_mirror)
    async with run_kafka(folder, jars) as kafka, run_postgres(folder) as postgres:
        settings = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, database_url=postgres.url, _env_file=None)
        await create_topics(settings, max_image_bytes=settings.max_image_bytes, partitions=PARTITIONS)
        pids = {"kafka": kafka.child.pid, "postgres": postgres.child.pid}
        yield _Ground(kafka.bootstrap_servers, postgres.url, pids, settings)


async def _publish(ground: _Ground, load: Load) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=ground.servers, acks=1, linger_ms=20, max_batch_size=1024 * 1024
    ) as producer:
        waiting = []
        for number in range(load.records):
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", b"%d" % number),
                ("ce_source", b"/bench"),
                ("ce_type", b"io.streamscorer.image"),
                ("content-type", b"image/jpeg"),
            ]
            value = b"\xff\xd8\xff" + os.urandom(load.record_bytes - 3)
            topic, partition = ground.settings.kafka_topic, number % PARTITIONS
            waiting.append(await producer.send(topic, value, headers=headers, partition=partition))
            if len(waiting) == 2000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


@contextmanager
def _empty_schema(ground: _Ground, name: str) -> Iterator[str]:
    """Migrated tables of this run alone; what it has left unwritten on disk is not charged to the next one."""
    schema = name.replace("-", "_")
    url = f"{ground.database_url}?options=-csearch_path%3D{schema}"
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        migrate(url, timeout_s=30)
        connection.execute("CHECKPOINT")
        yield url
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


async def _bare(ground: _Ground, load: Load, name: str) -> Run:
    with _empty_schema(ground, name) as url:
        _freeze()
        before = _cpu_s(ground.pids)
        begun, ended = await run_bare_stream(Bare(ground.servers, ground.settings.kafka_topic, name, url), load.records)
        cpu = _cpu_us(before, _cpu_s(ground.pids), load.records)
    return Run(load.records / (ended - begun), cpu)


async def _stream(ground: _Ground, load: Load, name: str) -> Run:
    with _empty_schema(ground, name) as url:
        settings = ground.settings.model_copy(
            update={"kafka_group_id": name, "database_url": Settings(database_url=url, _env_file=None).database_url}
        )
        metrics = Metrics()
        async with instant_worker(settings, metrics) as worker:
            _freeze()
            before = _cpu_s(ground.pids)
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(worker.run())
                await _reaches(metrics, 1, "scorer_rebalances_total")
                begun = time.perf_counter()
                stall_s = await _reaches(metrics, load.records, "scorer_records_total", outcome="scored")
                worker.stop()
            ended = time.perf_counter()
            cpu = _cpu_us(before, _cpu_s(ground.pids), load.records)
        assert work.result() is True
    hops = {hop: _sample(metrics, "scorer_batch_seconds_sum", hop=hop) / load.records * 1e6 for hop in _HOPS}
    batches = int(_sample(metrics, "scorer_batch_records_count"))
    return Run(load.records / (ended - begun), cpu, hops, batches, stall_s * 1000)


def _freeze() -> None:
    """As our processes do once they are loaded: see `cli/roles.py`."""
    gc.collect()
    gc.freeze()


async def _reaches(metrics: Metrics, value: float, name: str, **labels: str) -> float:
    """Wait until a metric has this value; the longest delay of the event loop meanwhile, in seconds."""
    late_s = 0.0
    while _sample(metrics, name, **labels) < value:
        due = time.perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        late_s = max(late_s, time.perf_counter() - due)
    return late_s


def _sample(metrics: Metrics, name: str, **labels: str) -> float:
    """Of this metric alone: the whole registry asks the system about the process too, at the cost of the stream."""
    families = metrics.registry.restricted_registry([name]).collect()
    samples = (sample for family in families for sample in family.samples)
    return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), 0.0)


def _cpu_us(before: dict[str, float], after: dict[str, float], records: int) -> dict[str, float]:
    return {name: (after[name] - before[name]) / records * 1e6 for name in before}


def _cpu_s(pids: dict[str, int]) -> dict[str, float]:
    """Processor seconds so far: of this process, and of each of our children with all below it."""
    own, table = os.times(), process_table.read()
    below = {name: process_table.ticks(table, pid) / _CLOCK_TICKS for name, pid in pids.items()}
    return {"own": own.user + own.system, **below}


def _spread(values: list[float]) -> str:
    return f"{min(values):10.2f} {statistics.median(values):10.2f} {max(values):10.2f}"


def _report(found: Overhead) -> str:
    lines = [f"{'':24}{'min':>10} {'median':>10} {'max':>10}"]
    for name, runs in (("stream", found.stream), ("bare", found.bare)):
        lines.append(f"{f'{name}, records/s':24}{_spread([run.records_per_s for run in runs])}")
        lines += [f"{f'  CPU us, {part}':24}{_spread([run.cpu_us[part] for run in runs])}" for part in runs[0].cpu_us]
        lines += [f"{f'  clock us, {hop}':24}{_spread([run.hop_us[hop] for run in runs])}" for hop in runs[0].hop_us]
    lines.append(f"{'batches':24}{_spread([float(run.batches) for run in found.stream])}")
    lines.append(f"{'longest stall, ms':24}{_spread([run.stall_ms for run in found.stream])}")
    lines.append(f"{'stream / bare':24}{_spread(found.ratios)}")
    return "\n".join(lines)


def main() -> None:
    """Print a table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--records", type=int, default=Load().records)
    parser.add_argument("--bytes", type=int, default=Load().record_bytes)
    parser.add_argument("--rounds", type=int, default=Load().rounds)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()  # as every process does that scores
    configure_logging(LogSettings(log_level="warning"))
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        found = uvloop.run(measure_overhead(Load(given.records, given.bytes, given.rounds), Path(folder)))
    print(json.dumps(asdict(found) | {"ratios": found.ratios}) if given.json else _report(found))


if __name__ == "__main__":
    main()
