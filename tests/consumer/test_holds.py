"""Who is paged reads which source does not answer, and no secret."""

import pytest

from consumer.holds import host_of


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://images.example.org/a/b.jpg?token=secret", "images.example.org"),
        ("http://user:secret@images.example.org:8080/b.jpg", "images.example.org:8080"),
        ("http://images.example.org?token=secret@x", "images.example.org"),
        ("s3://bucket/a/b.jpg", "bucket"),
        ("file:///srv/secret/b.jpg", ""),
        ("nonsense", ""),
    ],
)
def test_a_held_partition_names_the_host_of_its_source_alone(uri: str, host: str) -> None:
    assert host_of(uri) == host
