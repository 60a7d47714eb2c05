"""The room's door: `open_store` and what a `Store` can do."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from schemas.dead_letters import DeadLetter, DeadLetterFilter, StoredDeadLetter
from schemas.predictions import ModelInfo
from schemas.scores import Order, Score, ScoreFilter, ScorePage
from settings import StoreSettings
from store import dead_letters, groups, queries, reading, rows, writing
from store.address import read_address
from store.arrivals import Arrivals, Wait
from store.connections import Connections, first_connection, open_pool
from store.cursors import Cursor
from store.dead_letters import Order as DeadLetterOrder
from store.dead_letters import Place, Standing, Verdict
from store.decisions import Asked, Decision, NewScore, Written
from store.groups import Deed, Group, Pause, Recent, Stop
from store.schema import check_schema
from telemetry import Metrics, logger

log = logger("store")

_PING_S = 2.0


class Store:
    """Scores, dead letters and models in PostgreSQL.

    Every method raises StoreUnavailable while PostgreSQL cannot serve; then nothing was written, or it is not known
    (the connection broke during the commit), and asking again is safe either way.
    """

    def __init__(self, connections: Connections, arrivals: Arrivals, channel: str) -> None:
        self._connections = connections
        self._arrivals = arrivals
        self._channel = channel

    async def ping(self) -> None:
        """Returns when the database answers."""
        async with self._connections.use("ping", wait_s=_PING_S) as connection:
            await connection.execute("SELECT 1")

    async def register_model(self, info: ModelInfo) -> None:
        """Keeps what a model version is; the first registration stands, and one that differs is only logged."""
        row = rows.model_row(info)
        async with self._connections.use("register_model") as connection:
            await connection.execute(queries.INSERT_MODEL, row)
            same = await (await connection.execute(queries.SAME_MODEL, row)).fetchone()
        if same == (False,):
            log.warning("model version is taken by another model", model_version=info.model_version)

    async def decided(self, asked: Sequence[Asked], model_version: str) -> list[Decision | None]:
        """What is decided already about each record (hop 3); None: score it."""
        if not asked:
            return []
        async with self._connections.use("decided") as connection:
            return await writing.decide(connection, asked, [model_version] * len(asked))

    async def write(
        self, scores: Sequence[NewScore], dead_letters: Sequence[DeadLetter], *, model_version: str | None = None
    ) -> Written:
        """One transaction (hop 6); see `writing.write_once`.

        A dead letter is not written for a record that has a score of `model_version` (None: of any version).
        """
        batch = writing.Batch(scores, dead_letters, model_version, self._channel)
        async with self._connections.use("write") as connection:
            return await writing.write(connection, batch)

    async def find(self, event_id: str, source: str | None, model_version: str | None) -> list[Score]:
        """The newest score of the event with this id, one for each source that has such an id."""
        async with self._connections.use("find") as connection:
            return await reading.find(connection, event_id, source, model_version)

    async def page(self, where: ScoreFilter, *, order: Order, limit: int, cursor: str | None) -> ScorePage:
        """At most `limit` scores behind `cursor`; what an order promises stands in `reading`. Raises InvalidCursor."""
        after = None if cursor is None else Cursor.decode(cursor, order, where)
        async with self._connections.use("page") as connection:
            found = await reading.read(connection, reading.Question(where, order), after, limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        return ScorePage(
            items=[rows.score_of(row) for row in shown],
            next_cursor=reading.place_of(shown[-1], order).encode(order, where) if more else None,
        )

    def iterate(self, where: ScoreFilter, chunk: int = 1000) -> AsyncIterator[list[Score]]:
        """All scores, newest first, `chunk` at a time, in bounded memory."""
        return reading.chunks(self._connections, where, chunk)

    def iterate_dead_letters(
        self, where: DeadLetterFilter, order: DeadLetterOrder = "newest", chunk: int = 500
    ) -> AsyncIterator[list[StoredDeadLetter]]:
        """The dead letters that match now, `chunk` at a time, in bounded memory; values are asked for one by one."""
        return dead_letters.chunks(self._connections, where, order, chunk)

    async def dead_letters_at(self, place: Place) -> list[StoredDeadLetter]:
        """The dead letters that `place` names: several where a topic was made anew, or two clusters share the store."""
        async with self._connections.use("dead_letters") as connection:
            return await dead_letters.at(connection, place)

    async def dead_letter_value(self, letter: StoredDeadLetter) -> bytes | None:
        """The record's value; None where it is too large for the row and stays in the DLQ topic, or there is none."""
        async with self._connections.use("dead_letter_value") as connection:
            return await dead_letters.value(connection, letter)

    @asynccontextmanager
    async def resolving(self, letter: StoredDeadLetter, verdict: Verdict) -> AsyncIterator[Standing]:
        """See `dead_letters.resolving`. The body holds a transaction open: it must end within STATEMENT_TIMEOUT_S."""
        async with (
            self._connections.use("resolve") as connection,
            dead_letters.resolving(connection, letter, verdict) as standing,
        ):
            yield standing

    async def stopped(self, group: Group) -> Stop | None:
        """Why the dead-letter limit has stopped the group; None when it may run."""
        async with self._connections.use("stopped") as connection:
            return await groups.stopped(connection, group)

    async def recent(self, group: Group, window: int) -> Recent:
        """The last `window` decided records of the group's topic, within ten minutes; see `groups.recent`."""
        async with self._connections.use("recent") as connection:
            return await groups.recent(connection, group, window)

    async def stop_group(self, group: Group, why: str) -> None:
        """Stops the group until `resume_group`; a second call changes nothing."""
        async with self._connections.use("stop_group") as connection:
            await groups.stop(connection, group, why)

    async def resume_group(self, group: Group, actor: str) -> bool:
        """Lets the group go on; False when it was not stopped."""
        async with self._connections.use("resume_group") as connection:
            return await groups.resume(connection, group, actor)

    async def paused(self, group: Group) -> Pause | None:
        """The operator's pause; None when the group may poll."""
        async with self._connections.use("paused", wait_s=_PING_S) as connection:
            return await groups.paused(connection, group)

    async def pause_group(self, group: Group, actor: str, why: str | None) -> tuple[Pause, bool]:
        """Pauses the group until `unpause_group`; the pause that holds now, and whether it is this one."""
        async with self._connections.use("pause_group") as connection:
            return await groups.pause(connection, group, actor, why)

    async def unpause_group(self, group: Group, actor: str) -> bool:
        """Ends the operator's pause; False when there was none."""
        async with self._connections.use("unpause_group") as connection:
            return await groups.unpause(connection, group, actor)

    async def audit(self, group: Group, deed: Deed) -> None:
        """Keeps what somebody does to the group in Kafka."""
        async with self._connections.use("audit") as connection:
            await groups.audit(connection, group, deed)

    def arrivals(self) -> AbstractAsyncContextManager[Wait]:
        """`async with store.arrivals() as wait: ... await wait(timeout_s)` wakes when scores were written."""
        return self._arrivals.subscribe()


@asynccontextmanager
async def open_store(settings: StoreSettings, metrics: Metrics, *, start_timeout_s: float) -> AsyncIterator[Store]:
    """Waits for PostgreSQL and checks the schema.

    Raises DependencyAway past `start_timeout_s`, UsageError for what waiting cannot mend: settings, password, schema.
    """
    url = settings.database_url.get_secret_value() if settings.database_url else None
    address = read_address(url, statement_timeout_s=settings.statement_timeout_s)
    async with await first_connection(address, start_timeout_s) as connection:
        schema = await check_schema(connection, address)
    channel = f"streamscorer_{hashlib.sha256(schema.encode()).hexdigest()[:32]}"
    arrivals = Arrivals(address, channel)
    async with open_pool(address, settings.statement_timeout_s, metrics) as connections:
        try:
            yield Store(connections, arrivals, channel)
        finally:
            await arrivals.close()
