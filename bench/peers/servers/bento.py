"""BentoML: adaptive batching, and as many workers as PEER_WORKERS says. Started with `bentoml serve`."""

import os

import bentoml
import torch
from PIL.Image import Image

from bench.peers.servers.model import Answer, Classifier


# No line a request in the log, as the others have none.
@bentoml.service(
    workers=int(os.environ.get("PEER_WORKERS", "1")),
    traffic={"timeout": 120},
    logging={"access": {"enabled": False}},
)
class Resnet:
    """One classifier a worker; each worker has a dispatcher of its own that forms batches."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=60_000)
    def predict(self, images: list[Image]) -> list[Answer]:
        """A batch of whatever came in meanwhile."""
        return self.classifier.predict(torch.stack([self.classifier.transform(image) for image in images]))
