"""The PromQL that recurs in our panels, always over all instances of the chosen pipeline."""


def chosen(metric: str, where: str = "") -> str:
    """The series of `metric` in the chosen pipeline; `where` are further matchers."""
    matchers = ["pipeline='$pipeline'", where] if where else ["pipeline='$pipeline'"]
    return f"{metric}{{{', '.join(matchers)}}}"


def rate(metric: str, by: str = "", where: str = "") -> str:
    """A counter's increase per second."""
    return f"sum{_by(by)}(rate({chosen(metric, where)}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """What `share` of a histogram's observations stay below."""
    buckets = rate(f"{histogram}_bucket", f"{by}, le" if by else "le", where)
    return f"histogram_quantile({share}, {buckets})"


def mean(histogram: str, by: str = "", where: str = "") -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', by, where)} / {rate(f'{histogram}_count', by, where)}"


def total(metric: str, over: str, by: str = "", where: str = "") -> str:
    """A counter's increase over so long, e.g. 1h."""
    return f"sum{_by(by)}(increase({chosen(metric, where)}[{over}]))"


def worst(metric: str, by: str = "", where: str = "") -> str:
    """The highest of a gauge's series."""
    return f"max{_by(by)}({chosen(metric, where)})"


def added(metric: str, by: str = "", where: str = "") -> str:
    """The sum of a gauge's series."""
    return f"sum{_by(by)}({chosen(metric, where)})"


def steepest(metric: str, over: str) -> str:
    """The highest increase of a counter's series over so long."""
    return f"max(increase({chosen(metric)}[{over}]))"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
