"""Topics and schema of a test's own, as SCORER_ settings for processes."""

import uuid
from pathlib import Path
from typing import Any

import pytest
import torch

from broker.topics import create_topics
from inference.openvino_runtime import installed
from settings import KafkaSettings


@pytest.fixture
async def scorer_settings(kafka: str, migrated_url: str, checkpoint: Path) -> dict[str, Any]:
    """What a consumer needs, with six partitions."""
    name = f"s-{uuid.uuid4().hex[:12]}"
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=name)
    await create_topics(made, max_image_bytes=8 * 2**20, partitions=6)
    return {
        "kafka_bootstrap_servers": kafka,
        "kafka_topic": name,
        "kafka_group_id": name,
        "kafka_session_timeout_s": 3,
        "database_url": migrated_url,
        "weights": str(checkpoint),
        # Hundreds of pictures: as fast as this machine can. Exactness is tested elsewhere.
        "engine": "openvino" if installed() else "torch",
        "precision": "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32",
        "cache_dir": checkpoint.parent / "whole",
    }
