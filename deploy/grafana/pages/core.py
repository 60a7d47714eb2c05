"""Encoded image in, prediction out."""

from deploy.grafana.panels import Json, dashboard, graph, heatmap, line, table
from deploy.grafana.queries import added, chosen, mean, quantile, rate, worst


def page() -> Json:
    """The dashboard."""
    return dashboard(
        "core",
        "inference",
        "Decode, queue, forward pass; and whether the answers look like yesterday's.",
        [
            graph(
                "Images",
                "cps",
                line("{{origin}}, {{engine}}", rate("scorer_inference_images_total", "origin, engine")),
                stacked=True,
            ),
            graph("Images in a forward pass", "short", line("mean", mean("scorer_inference_batch_size"))),
            graph(
                "A forward pass",
                "s",
                line("half of them", quantile(0.5, "scorer_inference_seconds")),
                line("99 %", quantile(0.99, "scorer_inference_seconds")),
            ),
            graph(
                "Decoding an image",
                "s",
                line("half of them", quantile(0.5, "scorer_decode_seconds")),
                line("99 %", quantile(0.99, "scorer_decode_seconds")),
            ),
            graph(
                "Waiting for a thread and for the device, 99 %",
                "s",
                line("{{priority}}", quantile(0.99, "scorer_queue_seconds", "priority")),
            ),
            graph(
                "Images waiting", "short", line("{{priority}}", added("scorer_queue_depth", "priority")), stacked=True
            ),
            graph(
                "Were the bytes known?",
                "cps",
                line("{{result}}", rate("scorer_result_cache_total", "result")),
                stacked=True,
            ),
            graph(
                "How sure the model is",
                "percentunit",
                line("last hour", chosen("scorer:top1_probability:mean1h")),
                line("the day before", f"avg_over_time({chosen('scorer:top1_probability:mean1h')}[1d] offset 1h)"),
                text="Mean probability of the best class, in hours with more than 500 images.",
            ),
            heatmap("Probability of the best class", "percentunit", rate("scorer_top1_probability_bucket", "le")),
            graph("Memory", "bytes", line("{{instance}}", worst("process_resident_memory_bytes", "instance"))),
            graph("Processor, in cores", "short", line("{{instance}}", rate("process_cpu_seconds_total", "instance"))),
            table(
                "What scores",
                [
                    (
                        "processes",
                        "short",
                        f"count by (model_version, engine, precision, device, weights) ({chosen('scorer_model_info')})",
                    )
                ],
            ),
        ],
    )
