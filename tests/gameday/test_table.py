"""The runbook's table says what was seen, and nothing that was not."""

import json

import pytest

from tests.deploy.files import alerts
from tests.gameday.__main__ import asked
from tests.gameday.day import Course, Healthy, Results
from tests.gameday.faults import FAULTS
from tests.gameday.judging import Alert, Look, Seen, judge
from tests.gameday.stage import INTERVAL_S
from tests.gameday.table import PAGE, document, fill, markdown
from tests.gameday.test_judging import GOOD, looks, seen

(STORE,) = (fault for fault in FAULTS if fault.name == "store")
FIRED = (Alert(90.0, "ScorerStalled"), Alert(70.2, "ScorerStoreAway"), Alert(80.0, "ScorerNoProgress"))


def course(told: Seen) -> Course:
    return Course(STORE, told, judge(STORE.expected, told, INTERVAL_S), recovered_s=6.0)


RIGHT = course(seen(looks(GOOD), FIRED))


def test_a_row_has_the_seconds_of_each_door_and_alert() -> None:
    text = markdown(Results([RIGHT]), "about", None)
    assert (
        "| stalled on the store | PostgreSQL is killed (SIGKILL) | 0.0 s (its beginning) | 4.0 s | 4.0 s | "
        "ScorerStalled 90 s, ScorerStoreAway 70 s; beside them ScorerNoProgress 80 s | yes |"
    ) in text
    assert f'mended after 200 s, well again 6 s later): "STALL: {GOOD}"' in text


def test_a_wrong_reason_makes_the_day_fail_and_stands_in_the_table() -> None:
    results = Results([RIGHT, course(seen(looks("catching | up"), FIRED))])
    assert not results.ok
    text = markdown(results, "about", None)
    assert "| never | never |" in text
    assert "**no**: `lag` never gave the reason; it said last: STALL: catching \\| up" in text


def test_a_fault_that_could_not_be_carried_out_makes_the_day_fail() -> None:
    results = Results([Course(STORE, failed="AssertionError: no broker")])
    assert not results.ok
    assert "**not carried out**: AssertionError: no broker |" in markdown(results, "about", None)


def test_alerts_that_nobody_looked_at_are_not_said_to_be_silent() -> None:
    results = Results([course(seen(looks(GOOD), None))], Healthy(600, looks("keeps up", status="OK")))
    assert results.ok
    text = markdown(results, "about", "not checked: no prometheus")
    assert "| not checked: no prometheus | yes |" in text
    assert "10 minutes of healthy load: all of 2 answers of `lag` and `/lag` said OK. Alerts: not checked" in text


def test_a_healthy_load_that_was_not_silent_makes_the_day_fail() -> None:
    loud = Healthy(600, [Look(1.0, "lag", "OK", "keeps up")], FIRED[:1], FIRED[:1], ("ScorerStalled fired at 90 s",))
    results = Results([RIGHT], loud)
    assert not results.ok
    assert "**10 minutes of healthy load were not silent**: ScorerStalled fired at 90 s." in markdown(results, "", None)


def test_the_document_has_everything_and_is_json() -> None:
    found = json.loads(json.dumps(document(Results([RIGHT])), default=list))
    assert found["ok"] is True
    assert found["faults"]["store"]["seen"]["looks"][2]["reason"] == GOOD


def test_the_runbook_has_a_place_and_the_rest_of_it_stays() -> None:
    page = PAGE.read_text(encoding="utf-8")
    filled = fill(page, "the table\n")
    assert "\n<!-- game day -->\nthe table\n<!-- end -->\n" in filled
    assert fill(filled, "the table\n") == filled
    assert filled.partition("<!-- game day -->")[0] == page.partition("<!-- game day -->")[0]


def test_every_alert_that_is_expected_exists() -> None:
    known = {alert["alert"] for alert in alerts()}
    assert {name for fault in FAULTS for name in fault.expected.alerts} <= known


def test_a_fault_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(["--only", "none"]).only == []
    assert asked(["--only", "dead,store"]).only == ["dead", "store"]
    with pytest.raises(SystemExit):
        asked(["--only", "dead,fire"])
    assert "no such fault: fire" in capsys.readouterr().err
