"""An S3 that is real enough: moto's server, and the environment that leads to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from moto.server import ThreadedMotoServer


@contextmanager
def s3_server(buckets: Mapping[str, Mapping[str, bytes]]) -> Iterator[str]:
    """Serve `buckets` (name to key to content); yields the endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        # The first question loads botocore: from a cold disk that takes longer than the five seconds of httpx.
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False, timeout=60) as client:
            client.post("/moto-api/reset").raise_for_status()  # the server's state is the process's
            for bucket, objects in buckets.items():
                client.put(f"/{bucket}").raise_for_status()
                for key, content in objects.items():
                    client.put(f"/{bucket}/{key}", content=content).raise_for_status()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the AWS_ variables lead to `endpoint`."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
