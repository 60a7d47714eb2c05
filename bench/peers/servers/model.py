"""The model as a tutorial has it: torchvision's ResNet50 and transforms, torch on the CPU. The same for every peer.

What it reads from the environment: PEER_WEIGHTS, a state_dict; PEER_RESIZE and PEER_CROP, in pixels; PEER_PRECISION,
`fp32` or `bf16`; PEER_THREADS, torch's threads in this process (0: torch's own choice).
"""

import io
import os

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.models import resnet50

Answer = dict[str, int | float]
"""The likeliest class: `predicted_class`, `probability`."""


class Classifier:
    """Loaded once a process."""

    def __init__(self) -> None:
        if threads := int(os.environ.get("PEER_THREADS", "0")):
            torch.set_num_threads(threads)
        self._to_tensor = transforms.Compose(
            [
                transforms.Resize(int(os.environ.get("PEER_RESIZE", "232"))),
                transforms.CenterCrop(int(os.environ.get("PEER_CROP", "224"))),
                transforms.ToTensor(),
                transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            ]
        )
        weights = torch.load(os.environ["PEER_WEIGHTS"], weights_only=True)
        network = resnet50(num_classes=len(weights["fc.bias"]))
        network.load_state_dict(weights)
        self._network = network.eval()
        self._dtype = torch.float32
        if os.environ.get("PEER_PRECISION", "fp32") == "bf16":
            # Channels last, as torch's tuning guide has it for bf16 on CPUs.
            self._dtype = torch.bfloat16
            self._network = network.to(self._dtype).to(memory_format=torch.channels_last)

    def decode(self, image: bytes) -> Tensor:
        """Encoded image to float32 [3, crop, crop]."""
        return self.transform(Image.open(io.BytesIO(image)))

    def transform(self, picture: Image.Image) -> Tensor:
        """Picture to float32 [3, crop, crop]."""
        pixels: Tensor = self._to_tensor(picture.convert("RGB"))
        return pixels

    def predict(self, batch: Tensor) -> list[Answer]:
        """float32 [N, 3, crop, crop] to N answers."""
        with torch.inference_mode():
            logits = self._network(batch.to(self._dtype))
            best = logits.float().softmax(dim=1).max(dim=1)
        return [
            {"predicted_class": class_id, "probability": probability}
            for class_id, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
