"""What each arithmetic costs in accuracy, on a model with real labels: trained here on handwritten digits.

`python -m bench.accuracy [--epochs N]`, or `streamscorer bench accuracy`. int8 is calibrated on images of the training
part, as `streamscorer calibrate` would; all figures are of the part that neither training nor calibration has seen.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import torch
from torch import Tensor

from bench.cases import Case, Context, Goal, Options, Result, Skipped
from bench.digits import BATCH, CLASSES, HELD_BACK, PREPROCESSING, Part, digits, train
from bench.report import cells
from bench.run import measure
from errors import UsageError
from inference.calibration import keep_calibration
from inference.choice import open_engine
from inference.model import load_model
from inference.quantization import MOST_CALIBRATING, judge, quantize
from settings import InferenceSettings, load

SEED = 1
EPOCHS, QUICK_EPOCHS = 8, 1
ENGINES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))
NOTE = f"digits; {HELD_BACK} images held back"


async def run(context: Context, epochs: int = EPOCHS) -> AsyncGenerator[Result | Skipped, None]:
    """A row for each engine: accuracy, and agreement with torch fp32."""
    learnt, held_back = digits(SEED)
    settings = _settings(context.directory)
    await asyncio.to_thread(train, learnt, Path(settings.weights), SEED, QUICK_EPOCHS if context.quick else epochs)
    exact: Tensor | None = None
    for engine, precision in ENGINES:
        asked = settings.model_copy(update={"engine": engine, "precision": precision})
        try:
            if precision == "int8":
                await asyncio.to_thread(_calibrate, asked, learnt, held_back)
            answers = await asyncio.to_thread(_answers, asked, held_back)
        except UsageError as reason:
            yield Skipped(str(reason))
            continue
        name, accuracy = f"{engine} {precision}", _share(answers, held_back.classes)
        exact = answers if exact is None else exact
        yield Result("top-1 accuracy", name, "ratio", (accuracy,), note=NOTE)
        if exact is not answers:
            loss = _share(exact, held_back.classes) - accuracy
            yield Result("accuracy lost", name, "ratio", (loss,), Goal(at_most=0.01), NOTE)
            yield Result(
                "same class as torch fp32", name, "ratio", (_share(answers, exact),), Goal(at_least=0.98), NOTE
            )


CASE = Case(
    "accuracy", "what bf16 and int8 cost in accuracy, on a model trained on handwritten digits", run, by_engine=False
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    epochs = parser.parse_args().epochs
    asyncio.run(_print(Case(CASE.name, CASE.measures, lambda context: run(context, epochs), by_engine=False)))


async def _print(case: Case) -> None:
    async for outcome in measure([case], [load()], Options(repetitions=1)):
        print("  ".join(cell.ljust(8) for cell in cells(outcome)[1:]), flush=True)


def _settings(folder: Path) -> InferenceSettings:
    labels = folder / "digits.txt"
    labels.write_text("\n".join(str(number) for number in range(CLASSES)), encoding="utf-8")
    return InferenceSettings(
        weights=str(folder / "digits.pt"), labels=labels, preprocessing=str(PREPROCESSING), device="cpu",
        cache_dir=folder, data_dir=folder,
    )  # fmt: skip


def _calibrate(settings: InferenceSettings, learnt: Part, held_back: Part) -> None:
    """For the engine to find, whatever the agreement: the rows tell it."""
    model = load_model(settings)
    calibrating = learnt.samples[:MOST_CALIBRATING]
    network = quantize(model, settings, calibrating, lambda _: None)
    made = judge(network, model, settings, (calibrating, held_back.samples), bound=0)
    keep_calibration(network, made, model, settings)


def _answers(settings: InferenceSettings, part: Part) -> Tensor:
    """The class of each image, int64 [N]."""
    engine = open_engine(load_model(settings), settings)
    batches = (part.pixels[start : start + BATCH] for start in range(0, len(part.samples), BATCH))
    return torch.cat([engine.predict(batch).argmax(dim=1) for batch in batches])


def _share(found: Tensor, expected: Tensor) -> float:
    return float((found == expected).double().mean())


if __name__ == "__main__":
    main()
