"""LitServe: batches, and a worker process for each core, which is what its documentation asks for on CPUs."""

import os

import litserve
import torch
from fastapi import Request
from torch import Tensor

from bench.peers.servers.model import Answer, Classifier

WORKERS = int(os.environ.get("PEER_WORKERS", "1"))


class Api(litserve.LitAPI):
    """Decodes, predicts and encodes in the worker."""

    def setup(self, device: str) -> None:  # noqa: ARG002  (LitServe calls it so)
        """Once a worker."""
        self.classifier = Classifier()

    def decode_request(self, request: Request) -> Tensor:
        """The form's file."""
        return self.classifier.decode(request["file"].file.read())

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Images of one batch, stacked."""
        return torch.stack(inputs)

    def predict(self, x: Tensor) -> list[Answer]:
        """The batch."""
        return self.classifier.predict(x)

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        """One answer an image."""
        return output

    def encode_response(self, output: Answer) -> Answer:
        """As JSON."""
        return output


if __name__ == "__main__":
    # A short wait: on a CPU a batch takes as long as its images one by one, so waiting for company wins little.
    api = Api(max_batch_size=8, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=120)
    server.run(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning")
