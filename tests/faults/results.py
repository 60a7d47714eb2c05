"""What a soak writes down: a page for people and a document for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.report import Struck, findings, lines, markdown
from tests.faults.trial import Outcome


@dataclass(frozen=True)
class Part:
    """One trial of a soak."""

    name: str
    struck: Sequence[Struck]
    outcome: Outcome
    unasked: Counter[str]
    """Ends of members that nobody brought about, by exit code; the supervisor started them again."""

    def page(self) -> str:
        """As Markdown."""
        verdict, history = self.outcome.verdict, self.outcome.history
        unasked = ", ".join(f"{count} x {code}" for code, count in self.unasked.items()) or "none"
        acknowledged = sum(1 for sent in history.sent if sent.at is not None)
        return (
            f"## {self.name}: {'held' if self.outcome.ok else 'BROKEN'}\n\n{verdict.summary}\n\n"
            f"{len(history.sent)} sent, {acknowledged} acknowledged, {len(history.samples)} looks at the offsets. "
            f"Members that ended unasked: {unasked}.\n\n"
            f"{markdown(lines(self.struck, history, verdict))}\n"
            + "".join(f"- {words}\n" for words in self.outcome.trouble)
            + findings(verdict)
        )

    def document(self) -> dict[str, object]:
        """As JSON."""
        verdict, history = self.outcome.verdict, self.outcome.history
        return {
            "name": self.name,
            "ok": self.outcome.ok,
            "summary": verdict.summary,
            "records": verdict.records,
            "fates": dict(verdict.fates),
            "faults": [line.document() for line in lines(self.struck, history, verdict)],
            "injections": [
                {"fault": one.fault, "began_s": one.blow.began_s, "over_s": one.blow.over_s} for one in self.struck
            ],
            "findings": {kind: [str(one) for one in found] for kind, found in verdict.findings().items()},
            "trouble": self.outcome.trouble,
            "unasked_ends": dict(self.unasked),
        }


def write_results(folder: Path, seed: int, seconds: float, parts: Sequence[Part]) -> str:
    """Write report.md and report.json into `folder`; the page."""
    times = sum(len(part.struck) for part in parts)
    bad = sum(part.outcome.verdict.fates["dead letter"] for part in parts)
    records = sum(part.outcome.verdict.records for part in parts)
    page = (
        f"# Soak: {records} records, {times} faults, {bad} bad records\n\n"
        f"`SEED={seed} SOAK_S={seconds:.0f} make soak`\n\n" + "\n".join(part.page() for part in parts)
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(page, encoding="utf-8")
    document = {"seed": seed, "seconds": seconds, "parts": [part.document() for part in parts]}
    (folder / "report.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return page
