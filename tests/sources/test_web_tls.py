"""https://: connecting to a checked address, and still proving the name."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from errors import SourceUnavailable
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import open_fetcher
from tests.sources.web_server import answer, web_server

PICTURE = b"\xff\xd8\xff picture"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side for photos.example.org, whose certificate the clients of this test trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "photos.example.org")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    signed = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("photos.example.org")]), critical=False
    ).sign(key, hashes.SHA256())  # fmt: skip
    pem = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


async def test_the_certificate_must_be_that_of_the_name_though_the_address_is_what_we_connect_to(
    certificate: ssl.SSLContext,
) -> None:
    settings = SourceSettings(uri_http_hosts=("photos.example.org", "other.example.org"))
    opened = open_fetcher(settings, resolve=lambda host, port: ["127.0.0.1"])
    async with web_server({"/cat": answer(body=PICTURE)}, certificate) as server, opened as source:
        assert await source.fetch(ImageRef(server.url("/cat", "photos.example.org", "https"))) == PICTURE
        with pytest.raises(SourceUnavailable, match=r"(?i)certificate"):
            await source.fetch(ImageRef(server.url("/cat", "other.example.org", "https")))
