"""The stream with an engine that answers at once: `bench/overhead.py` in a process of its own, as a case."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from bench.cases import Case, Context, Goal, Result, Skipped

RECORDS, QUICK_RECORDS = 40_000, 2_000
RECORD_BYTES = 10_000
_WITHIN_S = 1800.0

Pass = Mapping[str, Any]
"""One of its runs, as its JSON has it."""


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    records = QUICK_RECORDS if context.quick else RECORDS
    load = ("--records", records, "--bytes", RECORD_BYTES, "--rounds", context.repetitions)
    child = await context.child("bench.overhead", "--json", *map(str, load))
    found = json.loads(await child.line("{", within_s=_WITHIN_S))
    stream, bare = found["stream"], found["bare"]
    rates = [tuple(one["records_per_s"] for one in side) for side in (stream, bare)]
    raw = {"stream": rates[0], "bare aiokafka": rates[1]}
    note = f"{records} records of {RECORD_BYTES // 1000} KB"
    yield Result("stream / bare aiokafka with COPY", "", "ratio", tuple(found["ratios"]), Goal(at_least=0.4), note, raw)
    yield Result("stream", "", "records/s", rates[0], Goal(at_least=10_000), note)
    yield Result("bare aiokafka with COPY", "", "records/s", rates[1], note=note)
    for side, passes in (("stream", stream), ("bare", bare)):
        for part, figures in _by_part(passes, "cpu_us").items():
            yield Result(f"{side}, CPU a record, {part}", "", "us", figures)
    for hop, figures in _by_part(stream, "hop_us").items():
        yield Result(f"hop {hop}, a record", "", "us", figures, note="by the clock; hops overlap")


def _by_part(passes: Sequence[Pass], of: str) -> dict[str, tuple[float, ...]]:
    return {part: tuple(float(one[of][part]) for one in passes) for part in passes[0][of]}


CASE = Case("overhead", "the stream with an engine that answers at once, against a bare loop", run, by_engine=False)
