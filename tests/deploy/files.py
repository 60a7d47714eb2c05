"""The files under deploy/, read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """Alerts and recorded metrics."""
    return [rule for group in read(PROMETHEUS / "rules.yml")["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """The alerts alone; one may stand there twice."""
    return [rule for rule in rules() if "alert" in rule]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, panel) of each dashboard."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            yield f"{path.stem}: {panel['title']}", panel


def blocks(language: str) -> list[str]:
    """What the runbook has between ``` of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def rule_expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of each rule, and of each query within a rule's words."""
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        yield name, rule["expr"]
        for query in re.findall(r'printf "([^"]+\{[^"]+)"', rule.get("annotations", {}).get("description", "")):
            yield f"{name}, description", query.replace("%q", '"p"')


def other_expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of each panel, and of each line of PromQL in the runbook."""
    for where, panel in panels():
        for target in panel["targets"]:
            yield where, target["expr"]
    for block in blocks("promql"):
        for line in block.splitlines():
            yield "runbook", line
