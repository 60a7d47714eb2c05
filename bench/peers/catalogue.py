"""Every peer: what it needs, how it is started and asked. Its settings stand here and in `servers/`.

Batching is on in each that has it, and there is a worker process for each core with one thread of torch, so that all
cores work and no two pools fight over them. Where a peer's documentation names a setting for CPUs it was taken; the
rest is our choice, and somebody who knows the peer better may get more out of it.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.children import environment
from bench.peers.environments import Environment
from bench.peers.processes import free_port
from inference.cores import usable_cores

_BOUNDARY = "bench-5b1f0e"
_FORM = f"multipart/form-data; boundary={_BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Seat:
    """What a peer gets for one start."""

    python: Path
    directory: Path
    """Its own, for settings files and whatever it writes."""
    variables: Mapping[str, str]
    """PEER_WEIGHTS, and for consumers where they read and write."""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that scores. `environment` None: ours."""

    name: str
    precision: str
    environment: Environment | None
    command: Callable[[Seat], Sequence[str | Path]]
    variables: Mapping[str, str] = field(default_factory=dict)
    """Added to the seat's."""


@dataclass(frozen=True, slots=True)
class Service(Peer):
    """One that answers HTTP."""

    path: str = "/predict"
    ready: str = "/health"
    """Answers 200 once a model is loaded."""
    content_type: str = _FORM
    form: Callable[[bytes], bytes] = field(default=lambda image: in_form("file", image))


def in_form(name: str, image: bytes) -> bytes:
    """The body of a form with one file."""
    head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"; filename="image.jpg"\r\n'
    return b"".join((head.encode(), b"content-type: image/jpeg\r\n\r\n", image, f"\r\n--{_BOUNDARY}--\r\n".encode()))


def in_json(image: bytes) -> bytes:
    """The Open Inference Protocol's request, as MLServer takes it over HTTP and from Kafka."""
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(image).decode("ascii")],
    }
    return json.dumps({"inputs": [tensor]}).encode()


def ours(name: str, role: str, settings: Mapping[str, object]) -> Service:
    """Streamscorer's `api` or `consumer` with these settings."""
    return Service(
        name,
        "",
        None,
        lambda seat: (sys.executable, "-m", "cli.main", role, *(("--port", str(seat.port)) if role == "api" else ())),
        environment(settings),
        ready="/readyz",
    )


def _module(name: str, *arguments: str) -> Callable[[Seat], Sequence[str | Path]]:
    return lambda seat: (seat.python, "-m", f"bench.peers.servers.{name}", *arguments)


def _bento(seat: Seat) -> Sequence[str | Path]:
    service = "bench.peers.servers.bento:Resnet"
    return (seat.python, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(seat.port))


def _mlserver(seat: Seat) -> Sequence[str | Path]:
    workers = usable_cores()
    server: dict[str, object] = {
        "host": "127.0.0.1",
        "http_port": seat.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(seat.directory / "metrics"),
        "debug": False,
        "parallel_workers": workers,
    }
    if "PEER_TOPIC" in seat.variables:
        server |= {
            "kafka_enabled": True,
            "kafka_servers": seat.variables["PEER_SERVERS"],
            "kafka_topic_input": seat.variables["PEER_TOPIC"],
            "kafka_topic_output": seat.variables["PEER_OUTPUT"],
        }
    model = {
        "name": "resnet50",
        "implementation": "bench.peers.servers.mlserver_runtime.Resnet",
        "max_batch_size": 32,
        "max_batch_time": 0.01,
    }
    (seat.directory / "settings.json").write_text(json.dumps(server), encoding="utf-8")
    (seat.directory / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return (seat.python.with_name("mlserver"), "start", seat.directory)


_EACH_CORE_A_WORKER = {"PEER_WORKERS": str(usable_cores()), "PEER_THREADS": "1"}
_FASTAPI = Environment("naive", ("fastapi>=0.115", "uvicorn[standard]>=0.30", "python-multipart>=0.0.9"), "fastapi")
_LITSERVE = Environment("litserve", ("litserve~=0.2.19", "python-multipart>=0.0.9"), "litserve")
_BENTOML = Environment("bentoml", ("bentoml~=1.4.0",), "bentoml")
# With a newer uvloop its worker processes end at once: they ask for an event loop where there is none yet.
_MLSERVER = Environment("mlserver", ("mlserver~=1.7.0", "uvloop<0.22"), "mlserver")
_AIOKAFKA = Environment("aiokafka", ("aiokafka~=0.14.0", "asyncpg>=0.30,<1"), "aiokafka")
_FASTSTREAM = Environment("faststream", ("faststream[kafka]~=0.7.0", "asyncpg>=0.30,<1"), "faststream")

NAIVE = Service("naive", "fp32", _FASTAPI, _module("naive"))
SERVICES: tuple[Service, ...] = (
    NAIVE,
    Service("naive bf16", "bf16", _FASTAPI, _module("naive"), {"PEER_PRECISION": "bf16"}),
    Service("litserve", "fp32", _LITSERVE, _module("lit"), _EACH_CORE_A_WORKER),
    Service(
        "bentoml",
        "fp32",
        _BENTOML,
        _bento,
        _EACH_CORE_A_WORKER | {"BENTOML_DO_NOT_TRACK": "True"},
        ready="/readyz",
        form=lambda image: in_form("images", image),
    ),
    Service(
        "mlserver",
        "fp32",
        _MLSERVER,
        _mlserver,
        {"PEER_THREADS": "1"},
        path="/v2/models/resnet50/infer",
        ready="/v2/models/resnet50/ready",
        content_type="application/json",
        form=in_json,
    ),
)

CONSUMERS: tuple[Peer, ...] = (
    Peer("aiokafka rows", "fp32", _AIOKAFKA, _module("plain_kafka", "rows")),
    Peer("aiokafka batches", "fp32", _AIOKAFKA, _module("plain_kafka", "batches")),
    Peer("faststream rows", "fp32", _FASTSTREAM, _module("faststream_app", "rows")),
    Peer("faststream batches", "fp32", _FASTSTREAM, _module("faststream_app", "batches")),
)
MLSERVER_KAFKA = Peer("mlserver kafka", "fp32", _MLSERVER, _mlserver, {"PEER_THREADS": "1"})
