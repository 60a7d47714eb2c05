"""One fault of a game day, carried out for real."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gameday.day import carry_out
from tests.gameday.faults import FAULTS
from tests.gameday.judging import judge
from tests.gameday.stage import INTERVAL_S, Day, Setup
from tests.system.pictures import pictures


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_store_that_is_killed_is_the_reason_and_no_other_one_passes_for_it(tmp_path: Path, jars: Path) -> None:
    day = Day(tmp_path, jars, list(pictures(20)), {}, None, warm_s=2, least_s=10)
    (store,) = (fault for fault in FAULTS if fault.name == "store")
    course = await carry_out(replace(store, setup=Setup(engine="fake")), day)
    assert course.failed is None
    assert course.judgement is not None
    assert course.judgement.wrong == ()
    assert course.recovered_s is not None
    assert course.seen is not None
    wrong = judge(replace(store.expected, words="the engine is slow"), course.seen, INTERVAL_S).wrong
    assert [words.partition(";")[0] for words in wrong] == [
        "`lag` never gave the reason",
        "`/lag` never gave the reason",
    ]
