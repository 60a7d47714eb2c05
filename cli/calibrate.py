"""`calibrate`: makes int8 usable for a model, with the user's own images."""

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.exits import FAILED, say, say_error, say_warning
from cli.options import with_settings
from cli.output import Table, json_line, printable
from cli.pictures import Missing, Paths, Picture, Pictures
from cli.pipeline import in_order
from errors import CommandFailed, Invalid, SourceUnavailable
from schemas.events import ImageRef
from settings import InferenceSettings, Settings, SourceSettings

if TYPE_CHECKING:
    from inference.calibration import Calibration
    from inference.model import Model
    from inference.quantization import Sample
    from sources.fetcher import SourceFetcher

_AT_ONCE: Final = 8
"""Images that are read or decoded at a time."""


@with_settings(InferenceSettings, SourceSettings, logs="warning")
def calibrate(
    settings: Settings,
    images: Annotated[str, typer.Argument(metavar="DIR|MANIFEST", show_default=False)],
    count: Annotated[
        int, typer.Option("--images", min=1, metavar="N", help="Use so many of the images; half are held back.")
    ] = 600,
    min_agreement: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="SHARE", help="Least share of held-back images with fp32's class."),
    ] = 0.98,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> int:
    """Calibrate the model for int8 with images like those that it will score.

    They are a folder with all below, or a manifest (.parquet .csv .ndjson with a column path or image_uri). Some set
    the ranges of the int8 network; on the others its classes and probabilities are compared with fp32. The figures
    are printed. Where at least 98 % of the classes agree the network is kept, and SCORER_PRECISION=int8 uses it with
    these weights and this preprocessing; else nothing is changed and the exit code is 1. The same images give the same
    calibration.
    """
    from cli.manifest import ENDINGS, Manifest

    is_manifest = Path(images).suffix.lower() in ENDINGS
    pictures: Pictures = Manifest(Path(images)) if is_manifest else Paths([images])
    calibration = asyncio.run(calibrate_with(settings, _picked(pictures), count, min_agreement, as_json=as_json))
    return 0 if calibration.passes else FAILED


async def calibrate_with(
    settings: Settings, pictures: list[Picture | Missing], count: int, bound: float, *, as_json: bool
) -> "Calibration":
    """Print the figures of a calibration with `count` of `pictures`, and keep it where it passes `bound`.

    Raises UsageError for too few pictures, CommandFailed where it cannot be kept.
    """
    from cli.progress import progress
    from inference.model import load_model
    from inference.quantization import judge, quantize, split

    model = await asyncio.to_thread(load_model, settings)
    parts = split(await _samples(settings, model, pictures, count))
    with progress("quantizing", lambda: len(parts[0])) as advance:
        network = await asyncio.to_thread(quantize, model, settings, parts[0], advance)
    say(f"comparing with fp32 on {len(parts[1])} other images")
    calibration = await asyncio.to_thread(judge, network, model, settings, parts, bound)
    _print(calibration, as_json=as_json)
    settle(network, calibration, model, settings)
    return calibration


def settle(network: Any, calibration: "Calibration", model: "Model", settings: Settings) -> None:
    """Keep a calibration that passes; say why not to another. Raises CommandFailed where it cannot be kept."""
    from inference.calibration import keep_calibration

    if not calibration.passes:
        say_error(
            f"int8 gives the same class as fp32 on {calibration.agreement:.1%} of the images held back, and "
            f"{calibration.bound:.1%} are needed: it stays unused. More images, or images more like those that will be "
            "scored, may help"
        )
        return
    try:
        say(f"kept in {keep_calibration(network, calibration, model, settings)}")
    except OSError as error:
        raise CommandFailed(f"the calibration cannot be kept: {error}") from error


async def _samples(settings: Settings, model: "Model", pictures: list[Picture | Missing], count: int) -> list["Sample"]:
    """The first `count` different ones that can be read; what is wrong with others is said on stderr."""
    from cli.progress import progress
    from inference.quantization import sample
    from sources.fetcher import open_fetcher

    found: dict[str, Sample] = {}
    async with open_fetcher(settings) as fetcher:

        async def read(picture: Picture | Missing) -> "Sample | str":
            if isinstance(picture, Missing):
                return f"{picture.name}: {picture.reason}"
            try:
                image = await _bytes(picture, fetcher, settings.max_image_bytes)
                return await asyncio.to_thread(sample, image, model.preprocessing, settings)
            except (Invalid, SourceUnavailable) as error:
                return f"{picture.name}: {error}"

        with progress("reading", lambda: min(count, len(pictures))) as advance:
            async with aclosing(in_order(pictures, read, _AT_ONCE)) as results:
                async for result in results:
                    advance(1)
                    if isinstance(result, str):
                        say_warning(printable(result))
                    else:
                        found[result.sha256] = result
                    if len(found) == count:
                        break
    return list(found.values())


async def _bytes(picture: Picture, fetcher: "SourceFetcher", max_bytes: int) -> bytes:
    if isinstance(picture.place, str):
        return await fetcher.fetch(ImageRef(picture.place, picture.sha256))
    return await asyncio.to_thread(picture.read, max_bytes)


def _picked(pictures: Pictures) -> list[Picture | Missing]:
    """All, in an order that is the same in each run and has nothing to do with names: the first ones are used."""
    return sorted(pictures, key=lambda picture: hashlib.sha256(picture.name.encode()).digest())


def _print(calibration: "Calibration", *, as_json: bool) -> None:
    if as_json:
        json_line(calibration.model_dump())
        return
    table = Table(("int8 against fp32", 28), ("figure", 10))
    table.row("calibrating images", calibration.images)
    table.row("held-back images", calibration.held_back)
    table.row("same class", f"{calibration.agreement:.2%}")
    table.row("probability error, mean", f"{calibration.mean_error:.4f}")
    table.row("probability error, max", f"{calibration.max_error:.4f}")
