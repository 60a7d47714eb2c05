"""Looks at the group every few seconds for as long as the process lives, also while Kafka is away."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from broker.groups import Groups, open_groups
from errors import BrokerUnavailable, CommandFailed, ScorerError, UsageError
from monitor.history import History
from monitor.observer import Observer
from monitor.sampling import group_and_topics, look, silence_s
from schemas.lag import LagReport
from settings import MonitorSettings
from telemetry import logger

log = logger("monitor")
_SHORTEST_LOOK_S: Final = 2.0
_LONGEST_LOOK_S: Final = 10.0
_SAID_AFTER: Final = 0.9
"""Of an interval, for which looks failed: a single one is no news, and before its first consumer there is no group."""
_SOON_S: Final = 1.0
_SOON_SHARE: Final = 0.25
"""Of the time for which nothing was seen yet, until the next look: who has just started is told soon that it works."""


class Watcher:
    """The latest report, or why there is none. `run` it; it never asks the database.

    `group_id`: another group than ours, on all its topics.
    """

    def __init__(self, settings: MonitorSettings, group_id: str | None = None) -> None:
        self._settings = settings
        self._observer = Observer(silence_s(settings))
        self._group_id, self._topics = group_and_topics(settings, group_id)
        self._looked = asyncio.Event()
        # What is told is never much older than two intervals.
        self._timeout_s = min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, settings.lag_interval_s))
        self._trouble: ScorerError | None = None
        self._blind_since: datetime | None = None
        self._said = False
        self.history = History()
        self.latest: LagReport | None = None
        """The last report that was made; it may be old: `report` tells."""
        self.seeing = asyncio.Event()
        """Set while the group can be looked at; a single look may fail."""
        self.failures = 0
        """Looks that failed."""

    async def run(self) -> None:
        """Until cancelled. Raises UsageError for settings that cannot work; what Kafka refuses is told by `report`."""
        while True:
            try:
                async with open_groups(self._settings, timeout_s=self._timeout_s) as groups:
                    await self._watch(groups)
            except BrokerUnavailable as trouble:
                self._failed(trouble)
            await asyncio.sleep(self._pause_s())

    def report(self) -> LagReport:
        """What is known now. Raises BrokerUnavailable or CommandFailed while the last look failed: never an old report.

        "No lag" and "Kafka does not answer" must not look alike.
        """
        if self._trouble is not None:
            raise self._explained(self._trouble)
        if self.latest is None:
            raise BrokerUnavailable("the lag has not been looked at yet")
        return self.latest

    async def looked(self) -> None:
        """Wait for the next look, whatever comes of it."""
        self._looked.clear()
        await self._looked.wait()

    async def trouble(self) -> str | None:
        """For readiness: why nothing is known, or None."""
        try:
            self.report()
        except ScorerError as error:
            return str(error)
        return None

    async def _watch(self, groups: Groups) -> None:
        """Until Kafka does not answer: then everything is opened anew."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                report = await look(groups, self._observer, self._group_id, self._topics)
            except UsageError as refusal:  # a permission, a group or a topic that may come yet
                self._failed(refusal)
            else:
                self._succeeded(report)
            await asyncio.sleep(max(0.0, self._pause_s() - (clock() - began)))

    def _pause_s(self) -> float:
        """From one look to the next. The first that sees something comes soon after there is something to see."""
        usual = self._settings.lag_interval_s
        return usual if self.latest is not None else min(usual, max(_SOON_S, _SOON_SHARE * self._blind_s()))

    def _blind_s(self) -> float:
        """How long looks have failed."""
        return (datetime.now(UTC) - self._blind_since).total_seconds() if self._blind_since is not None else 0.0

    def _succeeded(self, report: LagReport) -> None:
        if self._said:
            log.info("going on", part="lag")
        self._trouble, self._blind_since, self._said = None, None, False
        if self.latest is None or self.latest.status != report.status:
            say = log.info if report.status == "OK" else log.warning
            say("lag", status=report.status, lag=report.lag, why=report.reason)
        self.latest = report
        self.history.add(report)
        self.seeing.set()
        self._looked.set()

    def _failed(self, trouble: ScorerError) -> None:
        self.failures += 1
        if self._blind_since is None:
            self._blind_since = datetime.now(UTC)
        if not self._said and self._blind_s() >= _SAID_AFTER * self._settings.lag_interval_s:
            self._said = True
            self.seeing.clear()
            log.warning("waiting", part="lag", why=str(trouble))
        self._trouble = trouble
        self._looked.set()

    def _explained(self, trouble: ScorerError) -> ScorerError:
        words = f"the lag is not known since {self._blind_since:%Y-%m-%dT%H:%M:%SZ}: {trouble}"
        if self.latest is not None:
            words += f"; the last that was known, at {self.latest.at:%H:%M:%SZ}: {self.latest.reason}"
        if isinstance(trouble, BrokerUnavailable):
            return BrokerUnavailable(words, retry_after_s=self._settings.lag_interval_s)
        return CommandFailed(words)
