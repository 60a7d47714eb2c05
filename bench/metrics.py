"""What a service of ours says about itself on /metrics."""

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families


class Exported:
    """The samples of one moment."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of this name whose labels include `labels`; 0 where there is none yet."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )  # fmt: skip

    def engine(self) -> str:
        """What scores there, as the report names it: `torch fp32`."""
        labels = next(sample.labels for sample in self._samples if sample.name == "scorer_model_info")
        return f"{labels['engine']} {labels['precision']}"


async def exported(url: str) -> Exported:
    """`url` is the service's base address."""
    return Exported(await asyncio.to_thread(_get, f"{url}/metrics"))


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())
