"""Which metrics and labels a PromQL expression names: only as much of the grammar as that takes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<range>\[[^\]]*\])
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>\d[\w.]*)
    | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<mark>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])
    )""",
    re.VERBOSE,
)
_OPERATORS = frozenset({"and", "or", "unless", "bool", "offset"})
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


@dataclass(frozen=True)
class Named:
    """A metric, and a label that it is asked to have; with the value where it must equal one."""

    metric: str
    label: str | None = None
    value: str | None = None


def named(expression: str) -> set[Named]:
    """What `expression` relies on. Labels that it joins on are asked of the first metric there."""
    return set(_Reader(expression).read()[0])


class _Reader:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(_tokens(expression))
        self._at = 0

    def read(self) -> tuple[list[Named], list[str]]:
        """All that is named until the bracket that ends this level; and the metrics whose labels the result carries."""
        found: list[Named] = []
        carried: list[str] = []
        joined: list[str] = []
        decides = False  # what stands behind `and` or `unless` gives its labels to nobody
        while (token := self._next()) not in ("", ")"):
            new: list[Named] = []
            metrics: list[str] = []
            if token in _LABEL_LISTS:
                labels = self._labels() if self._peek() == "(" else []
                if token == "by":
                    assert self._next() == "(", f"{self._expression}: write `by` before what it groups"
                    new, metrics = self.read()
                    new += [Named(metric, label) for metric in metrics for label in labels]
                elif token == "on":
                    joined += labels
            elif token == "(":
                new, metrics = self.read()
            elif token in _OPERATORS:
                decides = token in {"and", "unless"} or (decides and token != "or")
            elif self._is_name(token) and self._peek() != "(" and self._peek() not in _LABEL_LISTS:
                new, metrics = list(self._metric(token)), [token]
            found += new
            carried += [] if decides else metrics
        return [*found, *(Named(one.metric, label) for one in found[:1] for label in joined)], carried

    def _metric(self, name: str) -> Iterator[Named]:
        yield Named(name)
        if self._peek() != "{":
            return
        self._next()
        while (label := self._next()) != "}":
            if label != ",":
                operator, text = self._next(), self._next()
                yield Named(name, label, text[1:-1] if operator == "=" else None)

    def _labels(self) -> list[str]:
        assert self._next() == "("
        labels = []
        while (token := self._next()) != ")":
            if token != ",":
                labels.append(token)
        return labels

    def _is_name(self, token: str) -> bool:
        return token[0].isalpha() or token[0] in "_:"

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _tokens(expression: str) -> Iterator[str]:
    at = 0
    text = expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, f"{expression!r} cannot be read from {text[at : at + 20]!r} on"
        at = match.end()
        if not match["range"] and not match["number"]:
            yield match.group().strip()
