"""What a case is, what it gets, and what it gives: see the room's docstring."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from bench.bare import Bare
from bench.children import Child, given, start
from bench.ground import Ground, open_ground
from bench.skipped import Skipped
from bench.workload import Workload
from settings import Settings

__all__ = ["Case", "Context", "Goal", "Options", "Result", "Run", "Skipped", "Unit"]
Unit = Literal[
    "ratio", "ms", "s", "MB", "MiB", "images/s", "records/s", "requests/s", "requests/min", "us", "images", "%"
]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the median must show; at least one of the two is set."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, figure: float) -> bool:
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)

    def __str__(self) -> str:
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table: a figure a repetition."""

    name: str
    """What is measured, as "A / B" for a ratio: `stream / bare loop`."""
    engine: str
    """`torch fp32`; empty where no model is involved."""
    unit: Unit
    figures: tuple[float, ...]
    goal: Goal | None = None
    note: str = ""
    """What a reader must know to read the figure."""
    raw: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The rates and times behind it, by name; kept in the JSON."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    repetitions: int = 5
    seconds: float = 10.0
    """About how long one round takes."""
    minutes: float = 1.0
    """How long memory is watched."""
    quick: bool = False
    seed: int = 1
    images: Path | None = None
    """The user's own pictures instead of generated ones."""


class Run:
    """What all cases of a run share: Kafka and PostgreSQL, once somebody asks for them."""

    def __init__(self, settings: Settings, options: Options, directory: Path) -> None:
        """`directory` is the run's own, for logs and data."""
        self.options = options
        self.directory = directory
        self._settings = settings
        self._stack = AsyncExitStack()
        self._ground: Ground | None = None

    async def ground(self) -> Ground:
        """Those that the settings name, else embedded ones of the run's own."""
        if self._ground is None:
            self._ground = await self._stack.enter_async_context(open_ground(self._settings, self.directory))
        return self._ground

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


class Context:
    """What a case gets. The children that it starts end with the case."""

    def __init__(self, run: Run, settings: Settings) -> None:
        """`settings` name the engine, the precision and the device."""
        self.settings = settings
        self.repetitions = run.options.repetitions
        self.seconds = run.options.seconds
        self.minutes = run.options.minutes
        self.quick = run.options.quick
        self.directory = run.directory
        self.images = Workload(settings.cache_dir / "bench", run.options.seed, run.options.images)
        self.ground = run.ground
        self._run = run
        self._stack = AsyncExitStack()

    async def child(self, module: str, *arguments: str, settings: Mapping[str, object] | None = None) -> Child:
        """`python -m MODULE ARGUMENTS` with our settings and those given; stopped at the end of the case."""
        started = start(module, arguments, {**given(self.settings), **(settings or {})}, self.directory)
        return await self._stack.enter_async_context(started)

    async def bare(self, settings: Mapping[str, object] | None = None) -> Bare:
        """The bare loop over the same images with the same engine, in a process of its own; see `bench/bare.py`.

        `settings` name another engine.
        """
        own = self._run.options.images
        arguments = (str(self._run.options.seed), *([str(own)] if own else []))
        return await Bare.ready(await self.child("bench.bare_loop", *arguments, settings=settings))

    async def beside_bare(self, *arguments: str, settings: Mapping[str, object]) -> tuple[Child, Bare]:
        """A command of ours, started, and the bare loop, ready.

        At once; but one after the other where the engine is still to be chosen: both would measure, and disturb each
        other.
        """
        if self.settings.engine == "auto":
            bare = await self.bare()
            return await self.child("cli.main", *arguments, settings=settings), bare
        child = await self.child("cli.main", *arguments, settings=settings)
        return child, await self.bare()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@dataclass(frozen=True, slots=True)
class Case:
    """A name on the command line, one sentence, and what measures it."""

    name: str
    measures: str
    run: Callable[[Context], AsyncGenerator[Result | Skipped, None]]
    """Yields what it has measured; yields a Skipped for a part that cannot be measured here, or raises it for all."""
    by_engine: bool = True
    """Whether it is run once for each engine that was asked for; else once."""
