"""`calibrate`: figures on stdout, everything else on stderr, and nothing kept that does not agree with fp32."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.commands import run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """200 small pictures of coloured noise, one of them twice, and one that cannot be read."""
    folder, picks = tmp_path / "images", np.random.default_rng(5)
    folder.mkdir()
    for number in range(200):
        noise = Image.fromarray(picks.integers(256, size=(4, 4, 3), dtype=np.uint8))
        noise.resize((40, 40)).save(folder / f"{number}.png")
    (folder / "twice.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.jpg").write_text("no picture")
    return folder


def test_a_network_that_disagrees_with_fp32_is_refused_with_its_figures(
    images: Path, tmp_path: Path, checkpoint: Path
) -> None:
    done = run(
        "calibrate", images, "--json", weights=checkpoint, preprocessing="resize=32,crop=32",
        data_dir=tmp_path / "data", cache_dir=tmp_path / "cache",
    )  # fmt: skip
    figures = json.loads(done.out)
    assert (figures["images"], figures["held_back"], figures["bound"]) == (100, 100, 0.98)
    assert 0 < figures["agreement"] < 0.98
    assert done.code == 1
    assert "broken.jpg: " in done.err
    assert f"{figures['agreement']:.1%} of the images held back, and 98.0% are needed" in done.err.splitlines()[-1]
    assert not (tmp_path / "data").exists()
