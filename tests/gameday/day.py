"""The course of a day: each fault on a stage of its own, so many stages at a time, and what was seen there."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tests.gameday.faults import HEALTHY, HEALTHY_SETUP, SILENCE_S, Fault
from tests.gameday.judging import DOORS, Alert, Door, Judgement, Look, Seen, judge, judge_healthy
from tests.gameday.prometheus import STATES
from tests.gameday.stage import INTERVAL_S, Day, Setup, Stage, set_up
from tests.gameday.watching import Watch, watching
from tests.waiting import eventually

_PREPARED_S = 15.0
_RECOVERY_S = 180.0
_TICK_S = 0.5


@dataclass(frozen=True)
class Course:
    """What became of one fault. `failed`: it could not be carried out, and why."""

    fault: Fault
    seen: Seen | None = None
    judgement: Judgement | None = None
    recovered_s: float | None = None
    """From the mending until all was well; None: not within three minutes."""
    failed: str | None = None

    @property
    def ok(self) -> bool:
        return self.judgement is not None and not self.judgement.wrong


@dataclass(frozen=True)
class Healthy:
    """The load without a fault."""

    seconds: float
    looks: Sequence[Look] = ()
    alerts: Sequence[Alert] | None = None
    """Those that fired; None: there was no Prometheus."""
    pending: Sequence[Alert] | None = None
    """Those that were about to."""
    wrong: tuple[str, ...] = ()


@dataclass
class Results:
    """Of a day."""

    courses: list[Course] = field(default_factory=list)
    healthy: Healthy | None = None

    @property
    def ok(self) -> bool:
        return all(course.ok for course in self.courses) and (self.healthy is None or not self.healthy.wrong)


def say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stderr.flush()


async def run_day(day: Day, faults: Sequence[Fault], *, healthy_s: float, lanes: int) -> Results:
    """All of them, the longest first; `lanes` at a time. `healthy_s` 0: without the healthy load."""
    results, left = Results(), deque(sorted(faults, key=lambda fault: -fault.at_most_s))
    queue: deque[Fault | None] = deque([None, *left] if healthy_s else left)

    async def lane() -> None:
        while queue:
            fault = queue.popleft()
            if fault is None:
                results.healthy = await healthy(day, healthy_s)
            else:
                results.courses.append(await carry_out(fault, day))

    async with asyncio.TaskGroup() as running:
        for _ in range(lanes):
            running.create_task(lane())
    results.courses.sort(key=lambda course: faults.index(course.fault))
    return results


async def carry_out(fault: Fault, day: Day) -> Course:
    """One fault, from setting up to its mending."""
    say(f"{fault.name}: setting up")
    try:
        async with set_up(fault.name, fault.setup, day) as stage, watching(stage) as watch:
            course = await _course(fault, stage, watch, day)
    except Exception as error:  # noqa: BLE001  (one fault that cannot be carried out must not end the day)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]  # type: ignore[assignment]  # an Exception like the group that holds it
        course = Course(fault, failed=f"{type(error).__name__}: {error}")
    wrong = course.judgement.wrong if course.judgement else (course.failed,)
    say(f"{fault.name}: {'right' if course.ok else f'WRONG: {wrong}'}")
    return course


async def _course(fault: Fault, stage: Stage, watch: Watch, day: Day) -> Course:
    await asyncio.sleep(day.warm_s)
    await _well(watch)
    if fault.prepare is not None:
        await fault.prepare(stage)
        await asyncio.sleep(_PREPARED_S)
    say(f"{fault.name}: {fault.done}")
    began = time.time()
    await fault.inject(stage)
    waiting = _Waiting(fault, stage, watch, day, began)
    watch.settled = waiting.right
    with suppress(TimeoutError):
        async with asyncio.timeout(fault.at_most_s):
            await waiting.for_all()
    healed_s = time.time() - began
    alerts = None if day.prometheus is None else day.prometheus.alerts(stage.name, began)
    visible_s = waiting.visible_s
    say(f"{fault.name}: mending it after {healed_s:.0f} s")
    await fault.mend(stage)
    mended = time.time()
    recovered_s = None
    with suppress(AssertionError):
        await _well(watch)
        recovered_s = round(time.time() - mended, 1)
    if fault.late:
        visible_s = await _late_after(stage, began)
    looks = [replace(look, at_s=look.at_s - began) for look in watch.looks]
    seen = Seen(looks, alerts, fault.at_most_s if visible_s is None else visible_s, healed_s)
    return Course(fault, seen, judge(fault.expected, seen, INTERVAL_S), recovered_s)


class _Waiting:
    """Until everything that is expected of a fault was seen."""

    def __init__(self, fault: Fault, stage: Stage, watch: Watch, day: Day, began: float) -> None:
        self._fault = fault
        self._stage = stage
        self._watch = watch
        self._day = day
        self._began = began
        self.visible_s = None if fault.visible else fault.visible_s
        self._told: set[str] = set()

    async def for_all(self) -> None:
        """Both doors give the reason, the alerts fire, and some time has passed."""
        names = {*DOORS, *(self._fault.expected.alerts if self._day.prometheus is not None else ())}
        while (missing := self._missing()) or self._passed_s < self._day.least_s:
            for name in names - missing - self._told:
                say(f"{self._fault.name}: {name} after {self._passed_s:.1f} s")
                self._told.add(name)
            if self.visible_s is None and self._fault.visible is not None and self._fault.visible(self._stage):
                self.visible_s = self._passed_s
            await asyncio.sleep(_TICK_S)

    def right(self, door: Door) -> bool:
        """It gives the reason now."""
        latest = self._watch.latest(door)
        return latest is not None and latest.at_s > self._began and self._fault.expected.right(latest)

    @property
    def _passed_s(self) -> float:
        return time.time() - self._began

    def _missing(self) -> set[str]:
        """Doors that do not give the reason now, and alerts that have not fired."""
        missing: set[str] = {door for door in DOORS if not self.right(door)}
        if self._day.prometheus is not None:
            alerts = self._day.prometheus.alerts(self._stage.name, self._began)
            expected = self._fault.expected
            missing |= {name for name in expected.alerts if expected.fired(name, alerts) is None}
        return missing


async def _late_after(stage: Stage, began: float) -> float | None:
    """Seconds from `began` until a record had waited for SILENCE_S, past all our own figures."""
    waited = (
        f"SELECT extract(epoch FROM min(record_time))::float8 + {SILENCE_S} - {began} FROM scores "
        f"WHERE kafka_topic = '{stage.name}' AND scored_at > to_timestamp({began}) "
        f"AND scored_at - record_time > interval '{SILENCE_S} s'"
    )
    ((after_s,),) = await stage.ground.database.execute(waited)
    return None if after_s is None else float(after_s)


async def _well(watch: Watch) -> None:
    """Wait until /lag says from now on that all is well."""
    asked = time.time()

    def good() -> bool:
        look = watch.latest("/lag")
        return look is not None and look.at_s > asked and look.status == "OK"

    await eventually(good, "/lag says OK", within_s=_RECOVERY_S)


async def healthy(day: Day, seconds: float, setup: Setup = HEALTHY_SETUP) -> Healthy:
    """Load and nothing else, for so long."""
    say(f"{HEALTHY}: setting up")
    try:
        async with set_up(HEALTHY, setup, day) as stage, watching(stage) as watch:
            await _well(watch)
            await asyncio.sleep(SILENCE_S)
            began = time.time()
            say(f"{HEALTHY}: {seconds:.0f} s from now")
            await asyncio.sleep(seconds)
            looks = [replace(look, at_s=look.at_s - began) for look in watch.looks if look.at_s >= began]
            alerts = pending = None
            if day.prometheus is not None:
                alerts, pending = (day.prometheus.alerts(HEALTHY, began, state=state) for state in STATES)
    except Exception as error:  # noqa: BLE001  (as above)
        return Healthy(0, wrong=(f"{type(error).__name__}: {error}",))
    found = Healthy(seconds, looks, alerts, pending, judge_healthy(looks, alerts))
    say(f"{HEALTHY}: {'silent' if not found.wrong else f'NOT SILENT: {found.wrong}'}")
    return found
