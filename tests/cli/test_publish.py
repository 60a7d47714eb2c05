"""`topics create` and `publish` against a real broker."""

import asyncio
import hashlib
import shutil
import uuid
from pathlib import Path

import polars as pl
import pytest

from broker.records import record_of
from schemas.envelope import decode_event
from schemas.events import ImageEvent, ImageRef
from tests.checkpoints import SAMPLES
from tests.cli.commands import Done, run
from tests.kafka_tools import read_all

PHOTOS = {
    "photos/clock.png": "clock.png",
    "photos/deep/retina.jpg": "retina.jpg",
    "photos/deep/flower.jpg": "flower.jpg",
}


class Topic:
    """A topic of this test, used through the command line."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.name = f"cli-{uuid.uuid4().hex[:8]}"

    def run(self, *arguments: object, cwd: Path | None = None) -> Done:
        return run(*arguments, cwd=cwd, kafka_bootstrap_servers=self.servers, kafka_topic=self.name)

    def events(self) -> list[ImageEvent]:
        """What the topic holds, as the consumer reads it."""
        records = asyncio.run(read_all(self.servers, self.name))
        return [decode_event(record_of("cluster", record), "coordinates") for record in records]


@pytest.fixture
def topic(kafka: str) -> Topic:
    made = Topic(kafka)
    done = made.run("topics", "create", "--partitions", 1)
    assert (done.code, done.err) == (0, "")
    return made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working directory with PHOTOS in it."""
    for name, sample in PHOTOS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / sample, tmp_path / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path


def test_topics_are_made_once_grow_and_never_shrink(kafka: str) -> None:
    topic = Topic(kafka)
    assert topic.run("topics", "create", "--partitions", 2).lines == [
        f"{topic.name}: created with 2 partitions",
        f"{topic.name}.dlq: created with 1 partition",
    ]
    again = topic.run("topics", "create", "--partitions", 2)
    assert (again.code, again.lines[0]) == (0, f"{topic.name}: exists with 2 partitions")
    grown = topic.run("topics", "create", "--partitions", 3)
    assert (grown.code, grown.lines[0]) == (0, f"{topic.name}: grown from 2 to 3 partitions")
    shrunk = topic.run("topics", "create", "--partitions", 1)
    assert (shrunk.code, shrunk.out, len(shrunk.err.splitlines())) == (1, "", 1)


def test_a_folder_is_published_and_again_under_the_same_ids(topic: Topic, here: Path) -> None:
    first = topic.run("publish", "photos", cwd=here)
    assert (first.code, first.out, first.err) == (0, "published 3, failed 0\n", "")
    events = {event.id: event for event in topic.events()}
    assert {(event.source, event.id) for event in events.values()} == {
        ("streamscorer-publish", name) for name in PHOTOS
    }
    assert all(event.image == (SAMPLES / PHOTOS[name]).read_bytes() for name, event in events.items())
    topic.run("publish", here / "photos", "photos/deep/*.jpg", cwd=here)
    assert sorted(event.id for event in topic.events()) == sorted([*PHOTOS, *PHOTOS, *list(PHOTOS)[1:]])


def test_what_cannot_be_read_is_named_and_the_others_are_published(topic: Topic, here: Path) -> None:
    (here / "photos" / "large.jpg").write_bytes(bytes(9 * 2**20))
    (here / "photos" / "empty.jpg").write_bytes(b"")
    done = topic.run("publish", "photos", "gone.jpg", cwd=here)
    assert (done.code, done.out) == (1, "published 3, failed 3\n")
    assert done.err.splitlines() == [
        "streamscorer: error: photos/empty.jpg: the image is empty: nothing to score",
        "streamscorer: error: photos/large.jpg: 9437184 bytes are more than SCORER_MAX_IMAGE_BYTES=8388608",
        "streamscorer: error: gone.jpg: no such file or folder",
    ]


def test_a_manifest_gives_ids_and_sources(topic: Topic, here: Path) -> None:
    rows = {"path": ["photos/clock.png", "photos/deep/retina.jpg"], "id": ["one", None], "source": ["/cam/7", None]}
    pl.DataFrame(rows).write_parquet(here / "list.parquet")
    done = topic.run("publish", "--manifest", "list.parquet", "--source", "/mine", "--form", "structured", cwd=here)
    assert (done.code, done.out) == (0, "published 2, failed 0\n")
    assert {event.identity for event in topic.events()} == {("/cam/7", "one"), ("/mine", "photos/deep/retina.jpg")}


def test_the_digest_of_the_bytes_can_be_the_id_and_a_uri_the_picture(topic: Topic, here: Path) -> None:
    photo = here / "photos" / "clock.png"
    done = topic.run("publish", photo, "--uri", "--id-from", "sha256", "--form", "json", cwd=here)
    digest = hashlib.sha256(photo.read_bytes()).hexdigest()
    (event,) = topic.events()
    assert (done.code, event.id, event.image) == (0, digest, ImageRef(photo.as_uri(), digest))


def test_the_bare_image_is_a_form_too(topic: Topic, here: Path) -> None:
    assert topic.run("publish", "photos/clock.png", "--form", "image", cwd=here).code == 0
    (event,) = topic.events()
    assert event.image == (SAMPLES / "clock.png").read_bytes()
    assert event.source == f"kafka:cluster/{topic.name}"


def test_a_missing_topic_names_the_command_that_makes_it(kafka: str, here: Path) -> None:
    done = Topic(kafka).run("publish", "photos/clock.png", cwd=here)
    assert (done.code, done.out) == (2, "")
    assert "`streamscorer topics create` makes it" in done.err.splitlines()[-1]
