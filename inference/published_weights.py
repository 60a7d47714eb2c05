"""torchvision's published ResNet50 weights: in torch's cache or downloaded into it, their digest checked either way."""

import hashlib
import os
import sys
import tempfile
import threading
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.error import HTTPError
from urllib.parse import urlsplit

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from errors import UsageError, WeightsUnreachable

CONNECT_TIMEOUT_S = 5.0
STALL_TIMEOUT_S = 15.0
CHUNK = 1 << 20


def published_weights(url: str, cache: Path | None = None, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> Path:
    """The file that `url` names, e.g. `.../resnet50-11ad3fa6.pth`; the hex in its name begins its sha256.

    Raises WeightsUnreachable (not cached, cannot be fetched), UsageError (the cached file is damaged).
    """
    name = Path(urlsplit(url).path).name
    prefix = name.rpartition("-")[2].partition(".")[0]
    path = (cache or Path(torch.hub.get_dir()) / "checkpoints") / name
    if path.is_file():
        digest = _sha256(path)
        if not digest.startswith(prefix):
            raise UsageError(
                f"{path} is damaged: its sha256 begins with {digest[:8]}, its name says {prefix}; "
                "delete it and start again"
            )
        return path
    try:
        digest = _download(url, path, prefix, connect_timeout_s)
    except (OSError, HTTPException) as error:
        raise WeightsUnreachable(
            f"cannot fetch the weights {url} ({_reason(error)}): put the file at {path} by hand, or set "
            "SCORER_WEIGHTS to the path of a ResNet50 checkpoint, or SCORER_WEIGHTS=untrained to try things out"
        ) from error
    return path


def _download(url: str, path: Path, prefix: str, connect_timeout_s: float) -> str:
    """Stream into a file beside `path` and move it there once its digest is right."""
    response = _connect(url, connect_timeout_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".partial")
    try:
        with response, os.fdopen(handle, "wb") as out, _progress() as progress:
            task = progress.add_task(path.name, total=response.length)
            while chunk := response.read(CHUNK):
                out.write(chunk)
                digest.update(chunk)
                progress.advance(task, len(chunk))
        if not digest.hexdigest().startswith(prefix):
            raise OSError(f"what arrived has the sha256 {digest.hexdigest()[:8]}..., not {prefix}...")
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
    return digest.hexdigest()


def _connect(url: str, timeout_s: float) -> HTTPResponse:
    """Open `url`, giving up after `timeout_s` in all: looking up a name obeys no socket timeout, hence the thread."""
    outcome: SimpleQueue[HTTPResponse | Exception] = SimpleQueue()

    def connect() -> None:
        try:
            outcome.put(urllib.request.urlopen(url, timeout=STALL_TIMEOUT_S))  # noqa: S310  (torchvision's https URL)
        except (OSError, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()
            outcome.put(error)

    threading.Thread(target=connect, name="connect-weights", daemon=True).start()
    try:
        opened = outcome.get(timeout=timeout_s)
    except Empty:
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    if isinstance(opened, Exception):
        raise opened
    return opened


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error or type(error).__name__).split())


def _progress() -> Progress:
    """A bar on stderr; nothing where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
