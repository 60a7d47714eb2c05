"""The bundled photos: each has a licence, all formats are among them, and together they stay small."""

import io

from PIL import Image

from tests.checkpoints import SAMPLES, sample_images


def test_every_photo_is_named_with_its_licence() -> None:
    text = (SAMPLES / "LICENSES.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert rows.keys() == sample_images().keys()
    for name, row in rows.items():
        assert any(licence in row for licence in ("CC0", "CC BY 2.0", "public domain", "no known copyright")), name


def test_they_are_small_and_of_several_kinds() -> None:
    images = sample_images()
    assert len(images) == 12
    assert sum(map(len, images.values())) < 1_500_000
    opened = {name: Image.open(io.BytesIO(image)) for name, image in images.items()}
    assert {picture.format for picture in opened.values()} == {"JPEG", "PNG", "WEBP"}
    assert opened["rocket.jpg"].info["progressive"]
    assert opened["photographer.jpg"].mode == "L"
    assert (opened["cat.png"].format, opened["cat.png"].mode) == ("PNG", "RGB")
