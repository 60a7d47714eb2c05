"""How many threads torch computes with, by the thread that calls it."""

import torch


def compute_with(threads: int) -> None:
    """From now on torch computes with so many threads for the calling thread, itself included.

    Only the device thread should have more than one. Each thread that computes with several gets a pool of its own, and
    once all pools together have more threads than there are cores, OpenMP lets them sleep between the layers of a
    network instead of spinning: a single image then takes a third longer.
    """
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
