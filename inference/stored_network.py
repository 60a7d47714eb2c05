"""A network in OpenVINO's own format in a folder, with facts about it: written so that it is whole or not there."""

import hashlib
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inference.openvino_runtime import openvino

FACTS = "facts.json"


class Damaged(Exception):
    """What lies in the folder is not what was written."""


def keep(network: Any, folder: Path, about: dict[str, Any]) -> None:
    """Write the network and then, in one step, the facts that point to it. Replaces what was there. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    before = facts(folder)
    with TemporaryDirectory(dir=folder, prefix="making-") as making:
        made = Path(making, "network.xml")
        try:
            openvino().save_model(network, made, compress_to_fp16=False)
        except RuntimeError as error:
            raise OSError(f"{folder}: {error}") from error
        digests = [_sha256(made), _sha256(made.with_suffix(".bin"))]
        network_file = folder / f"{digests[0][:8]}-{digests[1][:8]}.xml"
        for part in (made, made.with_suffix(".bin")):
            part.replace(network_file.with_suffix(part.suffix))
        text = json.dumps({**about, "network": network_file.name, "digests": digests}, indent=1)
        Path(making, FACTS).write_text(text, encoding="utf-8")
        Path(making, FACTS).replace(folder / FACTS)
    if before and before.get("network") != network_file.name:
        for suffix in (".xml", ".bin"):
            (folder / str(before["network"])).with_suffix(suffix).unlink(missing_ok=True)


def facts(folder: Path) -> dict[str, Any] | None:
    """What is known about the network in the folder; None where there is none, or nothing that can be read."""
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = isinstance(found, dict) and isinstance(found.get("network"), str) and os.sep not in found["network"]
    return found if names and isinstance(found.get("digests"), list) else None


def read(folder: Path) -> Any:
    """The network. Raises Damaged, also where there is none."""
    known = facts(folder)
    if known is None:
        raise Damaged(f"{folder}: holds no network")
    file = folder / known["network"]
    try:
        if [_sha256(file), _sha256(file.with_suffix(".bin"))] != known["digests"]:
            raise Damaged(f"{file}: is not what was written")
        return openvino().Core().read_model(file)
    except (OSError, RuntimeError) as error:
        raise Damaged(f"{file}: {' '.join(str(error).split())}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
