"""What the runbook tells somebody to type at three in the morning works."""

import re
import shlex
from collections.abc import Iterator

import psycopg
import typer
from typer.core import TyperGroup

from cli.main import build_app
from tests.deploy.files import RUNBOOK, alerts, blocks

TEXT = RUNBOOK.read_text(encoding="utf-8")


def test_it_has_a_section_for_every_alert_and_for_nothing_else() -> None:
    sections = re.findall(r"^### (Scorer\w+)$", TEXT, re.MULTILINE)
    assert sorted(sections) == sorted({alert["alert"] for alert in alerts()})
    for alert in alerts():
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page.endswith("docs/runbook.md")
        assert anchor == alert["alert"].lower(), alert["alert"]


def test_each_section_says_the_same_five_things() -> None:
    for section in TEXT.partition("## Alerts")[2].partition("## Game day")[0].split("### ")[1:]:
        for word in ("**Means**", "**See**", "**Decide**", "**Mend**", "**Over**"):
            assert section.count(word) == 1, f"{section.splitlines()[0]}: {word}"


def test_each_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        page, _, anchor = target.partition("#")
        path = (RUNBOOK.parent / page).resolve() if page else RUNBOOK
        assert path.exists(), target
        assert not anchor or re.search(rf"^#+ {anchor}$", path.read_text(), re.MULTILINE | re.IGNORECASE), target


def commands() -> Iterator[list[str]]:
    """The words behind each `streamscorer` of the text, in blocks and in sentences."""
    written = [line for block in blocks("sh") for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    written += [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose)]
    for line in written:
        if found := re.match(r"(?:[A-Z_]+=\S+ |docker compose exec api )*streamscorer (.+)", line):
            yield shlex.split(found[1], comments=True)


def test_every_command_and_option_exists() -> None:
    known = typer.main.get_command(build_app())
    assert isinstance(known, TyperGroup)
    named = list(commands())
    assert len(named) > 10
    for words in named:
        command = known.commands[words[0]]
        if isinstance(command, TyperGroup):
            command = command.commands[words[1]]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_every_statement_is_answered(migrated_url: str) -> None:
    statements = [one for block in blocks("sql") for one in block.split(";") if one.strip()]
    assert len(statements) > 5
    with psycopg.connect(migrated_url) as connection:
        for statement in statements:
            assert connection.execute(statement.encode()).description, statement
