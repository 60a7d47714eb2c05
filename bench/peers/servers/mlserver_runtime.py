"""A runtime for MLServer: images come as BYTES, in base64 as its JSON wants them; its adaptive batching is on."""

import asyncio

import torch
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.peers.servers.model import Classifier


class Resnet(MLModel):
    """Named in the model-settings.json that bench/peers/catalogue.py writes."""

    async def load(self) -> bool:
        """Once a worker."""
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch, merged by MLServer along the first dimension."""
        images = Base64Codec.decode_input(payload.inputs[0])
        classes, probabilities = await asyncio.to_thread(self._answers, images)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("class_id", classes.numpy()),
                NumpyCodec.encode_output("probability", probabilities.numpy()),
            ],
        )

    def _answers(self, images: list[bytes]) -> tuple[torch.Tensor, torch.Tensor]:
        answers = self.classifier.predict(torch.stack([self.classifier.decode(image) for image in images]))
        return (
            torch.tensor([[answer["predicted_class"]] for answer in answers]),
            torch.tensor([[answer["probability"]] for answer in answers]),
        )
