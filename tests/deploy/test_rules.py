"""Each alert fires when it should and is silent when it should be, and says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.files import PROMETHEUS, alerts, other_expressions, read

TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
# What they found is a state, not an amount.
WITHOUT_VALUE = {"ScorerLagUnknown", "ScorerRewound", "ScorerPausedLong", "ScorerTargetDown"}


@pytest.fixture(scope="module")
def promtool() -> str:
    # fetch_promtool.sh puts it into .venv.
    found = shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("promtool is not installed (`make test` fetches Debian's or Ubuntu's)")
    return found


def run(promtool: str, *arguments: object) -> None:
    ended = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_prometheus_reads_configuration_and_rules(promtool: str) -> None:
    run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_alerts_fire_as_written(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The expressions of dashboards and runbook as a file of rules."""
    path = tmp_path_factory.mktemp("typed") / "rules.yml"
    recorded = [
        {"record": f"typed:{n}", "expr": expr.replace("$__rate_interval", "5m")}
        for n, (_, expr) in enumerate(other_expressions())
    ]
    path.write_text(yaml.safe_dump({"groups": [{"name": "typed", "rules": recorded}]}))
    return path


def test_the_expressions_of_dashboards_and_runbook_are_promql(promtool: str, typed: Path) -> None:
    run(promtool, "check", "rules", typed)


def test_every_alert_is_shown_firing_and_silent() -> None:
    shown = [(one["alertname"], bool(one["exp_alerts"])) for path in TESTS for test in read(path)["tests"]
             for one in test["alert_rule_test"]]  # fmt: skip
    names = {alert["alert"] for alert in alerts()}
    assert {name for name, fires in shown if fires} == names
    assert {name for name, fires in shown if not fires} == names


def test_every_alert_says_how_urgent_it_is_what_is_the_matter_and_where_to_read_on() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"page", "warn", "ticket"}, alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, alert["alert"]
        assert "$value" in alert["annotations"]["description"] or alert["alert"] in WITHOUT_VALUE, alert["alert"]
