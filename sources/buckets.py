"""s3:// to the allowed buckets, with the credentials and the endpoint of the usual AWS_ variables."""

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from errors import ImageTooLarge, SourceNotFound, SourceRefused, SourceUnavailable, UsageError
from sources.limits import FetchLimits

if TYPE_CHECKING:
    from obstore.store import S3Store

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
# Our own credentials are at fault, not the event: worth waiting for the operator.
_OURS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "TokenRefreshRequired",
    }
)


class BucketSource:
    """Reads objects of S3 and of what speaks like it. A key stands in the URI as it is, not percent-encoded."""

    def __init__(self, buckets: Sequence[str], limits: FetchLimits, threads: Executor) -> None:
        self._buckets = frozenset(buckets)
        self._limits = limits
        self._threads = threads
        self._stores: dict[str, S3Store] = {}
        for name in _ENDPOINTS if buckets else ():
            endpoint = os.environ.get(name, "http://")
            if not endpoint.startswith(("http://", "https://")):
                raise UsageError(f"{name}={endpoint}: must begin with https:// or http://")

    async def read(self, uri: str) -> bytes:
        if not self._buckets:
            raise SourceRefused("s3:// is not allowed: name buckets that may be read in SCORER_URI_S3_BUCKETS")
        bucket, _, key = uri.partition("://")[2].partition("/")
        if bucket not in self._buckets:
            raise SourceRefused(f"the bucket {bucket[:80]!r} is not among SCORER_URI_S3_BUCKETS")
        if not key:
            raise SourceRefused(f"s3://{bucket} names no key: write s3://{bucket}/key")
        store = self._stores.get(bucket)
        if store is None:
            store = await asyncio.get_running_loop().run_in_executor(self._threads, _open, bucket, self._limits)
            self._stores[bucket] = store
        with _failures(repr(f"s3://{bucket}/{key}"[:200])):
            return await self._body(store, bucket, key)

    async def _body(self, store: "S3Store", bucket: str, key: str) -> bytes:
        found = await store.get_async(key)
        size, chunks = found.meta["size"], []
        if size <= self._limits.max_bytes:
            size = 0
            async for chunk in found.stream():
                chunks.append(bytes(chunk))
                size += len(chunks[-1])
                if size > self._limits.max_bytes:
                    break
        if size > self._limits.max_bytes:
            raise ImageTooLarge(
                f"{f's3://{bucket}/{key}'[:200]!r} is larger than the {self._limits.max_bytes} bytes that are accepted"
            )
        return b"".join(chunks)


def _open(bucket: str, limits: FetchLimits) -> "S3Store":
    """Blocks on the import; the endpoint of the environment may be plain http, as that of a MinIO beside us."""
    from obstore.store import S3Store

    return S3Store(
        bucket,
        client_options={
            "allow_http": any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS),
            "connect_timeout": timedelta(seconds=limits.connect_s),
            "timeout": timedelta(seconds=limits.total_s),
        },
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=limits.connect_s)},
    )


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """The library's errors as ours. Only S3's error code is passed on: its texts show requests."""
    from obstore.exceptions import BaseError, InvalidPathError, NotFoundError, PermissionDeniedError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if _code(error) == "NoSuchBucket":
            raise SourceUnavailable(f"{where}: the allowed bucket is not there") from error
        raise SourceNotFound(f"{where} does not exist") from error
    except (InvalidPathError, ValueError) as error:
        raise SourceRefused(f"{where}: no key that can be read") from error
    except PermissionDeniedError as error:
        if _code(error) in _OURS:
            raise SourceUnavailable(f"{where}: our credentials are refused ({_code(error)})") from error
        raise SourceRefused(f"{where}: access denied ({_code(error)})") from error
    except (BaseError, OSError) as error:
        raise SourceUnavailable(f"{where} cannot be fetched for now ({_code(error)})") from error


def _code(error: Exception) -> str:
    match = _CODE.search(str(error))
    return match.group(1) if match else type(error).__name__
