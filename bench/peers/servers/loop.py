"""The naive service without the service: decode and forward pass of one image after the other.

`python -m bench.peers.servers.loop FOLDER NAME=VALUE...`, where the names are those of `model.py`. It is asked as
`bench/bare_loop.py` is: `serial N` on stdin runs over N files of FOLDER and answers with a line of JSON.
"""

import itertools
import json
import os
import sys
import time
from pathlib import Path

from bench.peers.servers.model import Classifier

_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def main(folder: Path, variables: list[str]) -> None:
    """Says what it is once it is ready."""
    for variable in variables:
        name, value = variable.split("=", 1)
        os.environ[name] = value
    classifier = Classifier()
    say({"engine": "torch", "precision": "fp32", "device": "cpu", "batch": 1})
    for line in sys.stdin:
        count = int(line.split()[1])
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _PICTURES][:count]
        images = itertools.islice(itertools.cycle([path.read_bytes() for path in paths]), count)
        begun, cpu_s = time.perf_counter(), time.process_time()
        for image in images:
            classifier.predict(classifier.decode(image).unsqueeze(0))
        seconds = time.perf_counter() - begun
        cpu_us = 1e6 * (time.process_time() - cpu_s) / count
        say({"seconds": seconds, "rate": count / seconds, "cpu_us": cpu_us})


def say(answer: dict[str, object]) -> None:
    """One line to whoever asks."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
