"""What `offsets reset` and `offsets skip` do: choose where a group without members goes on, note it, and commit it."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from broker.groups import Groups, open_groups
from broker.offsets import Offsets, open_offsets
from broker.reading import open_reader
from broker.topics import inspect
from cli.actors import actor
from cli.exits import say, say_warning
from cli.output import Table, line, printable
from cli.patience import patiently
from errors import BrokerUnavailable, CommandFailed, StoreUnavailable, UsageError
from schemas.records import EPOCH, Record
from settings import Settings
from store.dead_letters import Place
from store.groups import Deed, Group
from store.store import Store, open_store
from telemetry import Metrics

_WHO_CHARS = 100


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go: the first record at or after a time, or an offset; one of the two."""

    time: datetime | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """Where the group stands in a partition, and where it will. `again` counts offsets: back above 0, ahead below."""

    partition: int
    stands: int | None
    """None: nothing was committed there."""
    to: int
    again: int
    note: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A group and what is needed to move it."""

    settings: Settings
    group: Group
    partitions: range
    """Of the topic."""
    store: Store
    groups: Groups
    offsets: Offsets


async def reset(settings: Settings, target: Target, partitions: Iterable[int], *, dry_run: bool) -> None:
    """Move the group in these partitions of KAFKA_TOPIC (none named: in all). Raises CommandFailed, UsageError."""
    async with _open_desk(settings, settings.kafka_topic) as desk:
        chosen = sorted(set(partitions)) or list(desk.partitions)
        for partition in chosen:
            _check_partition(desk, partition)
        moves = await patiently(lambda: _plan(desk, target, chosen), settings.start_timeout_s)
        if changed := {move.partition: move.to for move in moves if move.to != move.stands}:
            to = {"to_time": target.time.isoformat()} if target.time else {"to_offset": target.offset}
            steps = [{"partition": m.partition, "from": m.stands, "to": m.to} for m in moves if m.partition in changed]
            await _move(desk, changed, Deed(actor(), "offsets reset", {**to, "partitions": steps}), dry_run=dry_run)
    _tell(moves, dry_run=dry_run)


async def skip(settings: Settings, place: Place, why: str | None, *, dry_run: bool) -> None:
    """Let the group go on behind the record that is due in its partition. Raises CommandFailed, UsageError."""
    name = f"{place.topic} {place.partition} {place.offset}"
    async with _open_desk(settings, place.topic) as desk:
        _check_partition(desk, place.partition)
        committed = await patiently(lambda: _committed(desk), settings.start_timeout_s)
        if (stands := committed.get(place.partition)) != place.offset:
            where = "has committed nothing there" if stands is None else f"stands at {stands} there"
            raise CommandFailed(
                f"{name}: group {desk.group.group_id} {where}, and only the record that is due next can be skipped"
            )
        time = await _record_time(settings, place)
        detail = {"partition": place.partition, "offset": place.offset, "record_time": time, "why": why}
        await _move(desk, {place.partition: place.offset + 1}, Deed(actor(), "offsets skip", detail), dry_run=dry_run)
    will = "would not" if dry_run else "will not"
    line(printable(f"{name} (of {time or 'unknown time'}) {will} be delivered to group {desk.group.group_id}"))


@asynccontextmanager
async def _open_desk(settings: Settings, topic: str) -> AsyncIterator[Desk]:
    cluster = await patiently(lambda: inspect(settings, [topic]), settings.start_timeout_s)
    group = Group(cluster.id, topic, settings.kafka_group_id)
    async with open_groups(settings) as groups:
        if await patiently(lambda: groups.members(group.group_id), settings.start_timeout_s) is None:
            raise UsageError(
                f"group {group.group_id} does not exist on {settings.kafka_bootstrap_servers}: it has no members "
                "and has committed nothing (SCORER_KAFKA_GROUP_ID names another)"
            )
        async with (
            open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store,
            open_offsets(settings, topic) as offsets,
        ):
            yield Desk(settings, group, range(cluster.partitions[topic]), store, groups, offsets)


def _check_partition(desk: Desk, partition: int) -> None:
    if partition not in desk.partitions:
        raise UsageError(f"partition {partition}: {desk.group.topic} has partitions 0 to {desk.partitions[-1]}")


async def _committed(desk: Desk) -> dict[int, int]:
    """Where the group stands, by partition of its topic."""
    found = await desk.groups.committed(desk.group.group_id)
    return {at.partition: offset for at, (offset, _) in found.items() if at.topic == desk.group.topic}


async def _plan(desk: Desk, target: Target, partitions: Sequence[int]) -> list[Move]:
    committed = await _committed(desk)
    limits = await desk.offsets.limits(partitions)
    found: Mapping[int, int] = {}
    if target.time is not None:
        # Rounded up: a record of the same millisecond may still be older.
        found = await desk.offsets.at_time(partitions, -((EPOCH - target.time) // timedelta(milliseconds=1)))
    moves = []
    for partition in partitions:
        first, end = limits[partition]
        wanted = found.get(partition, end) if target.offset is None else target.offset
        to = min(max(wanted, first), end)
        note = ""
        if target.offset is not None and to != wanted:
            note = f"the log begins at {first}" if to == first else f"the log ends at {end}"
        elif target.time is not None and partition not in found:
            note = "no record so late: its end"
        stands = committed.get(partition)
        new = first if desk.settings.kafka_auto_offset_reset == "earliest" else end
        begins = new if stands is None else min(max(stands, first), end)
        moves.append(Move(partition, stands, to, begins - to, note))
    return moves


async def _record_time(settings: Settings, place: Place) -> str | None:
    """None where the record cannot be read, which is one more reason to skip it. Raises CommandFailed without one."""
    record: Record | None
    try:
        async with open_reader(settings) as reader:
            record = await reader.read(place.topic, place.partition, place.offset)
    except (BrokerUnavailable, ValueError) as error:
        say_warning(f"the record could not be read: {error}")
        return None
    if record is None:
        raise CommandFailed(f"{place.topic} {place.partition} {place.offset}: there is no record")
    return record.at.record_time.isoformat()


async def _move(desk: Desk, offsets: Mapping[int, int], deed: Deed, *, dry_run: bool) -> None:
    """Kept in the audit, then committed.

    In this order an offset never moves without a trace; the other way round a command that is killed, or loses the
    database, in between would leave none. So a row says what was asked for, and where Kafka did not take it a second
    one says that and why.
    """
    if (running := await _running(desk)) is not None:
        if not dry_run:
            raise CommandFailed(running)
        say_warning(running)
    if dry_run:
        return
    await desk.store.audit(desk.group, deed)
    try:
        await _commit(desk, offsets, deed)
    except Exception as error:
        failed = Deed(deed.actor, f"{deed.action} failed", {**deed.detail, "failed": str(error)})
        with suppress(StoreUnavailable):
            await desk.store.audit(desk.group, failed)
        raise


async def _commit(desk: Desk, offsets: Mapping[int, int], deed: Deed) -> None:
    why = f"operator: {deed.action} by {deed.actor[:_WHO_CHARS]}"
    # For who watches the group; `open` tells the next owner that nobody crashed here.
    told = {"at": datetime.now(UTC).isoformat(), "state": "moved", "why": why, "open": False}
    if not await desk.offsets.move(offsets, json.dumps(told)):
        raise CommandFailed(await _running(desk) or "a consumer came and went meanwhile: look again")


async def _running(desk: Desk) -> str | None:
    """Why the group cannot be moved, and what to do about it; None when it has no members."""
    settings, group_id = desk.settings, desk.group.group_id
    found = await patiently(lambda: desk.groups.members(group_id), settings.start_timeout_s)
    if not found:
        return None
    members = f"{len(found)} member" + ("s" if len(found) != 1 else "")
    hosts = sorted({member.host for member in found})
    return (
        f"group {group_id} has {members} (on {', '.join(hosts)}), and only a group "
        "without members can be moved: stop its consumers, with `docker compose stop consumer` or SIGTERM; they drain "
        f"and leave (one that was killed is a member for {settings.kafka_session_timeout_s:g} s more)"
    )


def _tell(moves: Sequence[Move], *, dry_run: bool) -> None:
    table = Table(("partition", 9), ("from", 12), ("to", 12), ("again", 10), ("left out", 10), ("note", 0))
    for move in moves:
        stands = "-" if move.stands is None else move.stands
        table.row(move.partition, stands, move.to, max(0, move.again), max(0, -move.again), move.note)
    again = sum(max(0, move.again) for move in moves)
    left_out = sum(max(0, -move.again) for move in moves)
    will = "would" if dry_run else "will"
    if again:
        say(
            f"{again} records {will} be delivered again: one that is decided already costs a look-up and adds no row; "
            "another model version scores it anew"
        )
    if left_out:
        say(f"{left_out} records {will} not be delivered")
    if all(move.to == move.stands for move in moves):
        say("nothing to move")
