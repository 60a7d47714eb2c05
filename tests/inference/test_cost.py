"""What a batch costs is learned from those that were; batches are as large as pays and no longer than is bearable."""

import random

import pytest

from inference.cost import Cost
from inference.policy import BatchPolicy


def learned(overhead_s: float, image_s: float, sizes: list[int], noise: float = 0.0) -> Cost:
    cost, chance = Cost(), random.Random(3)
    for size in sizes:
        cost.observe(size, (overhead_s + size * image_s) * (1 + noise * chance.uniform(-1, 1)))
    return cost


def test_overhead_and_work_are_told_apart_by_batches_of_different_sizes() -> None:
    cost = learned(0.004, 0.0005, [1, 32, 16, 8] * 20, noise=0.1)
    assert cost.seconds(1) == pytest.approx(0.0045, rel=0.15)
    assert cost.seconds(64) == pytest.approx(0.036, rel=0.15)
    assert cost.within(0.02) == pytest.approx(32, abs=5)


def test_batches_of_one_size_say_nothing_about_overhead() -> None:
    cost = learned(0.02, 0.01, [8] * 50)
    assert cost.overhead_s == pytest.approx(0, abs=1e-9)
    assert cost.seconds(8) == pytest.approx(0.1)


def test_what_changes_is_learned_again() -> None:
    cost = learned(0.0, 0.05, [1, 4, 8] * 50)
    for size in [1, 4, 8] * 80:
        cost.observe(size, 0.01 * size)
    assert cost.seconds(8) == pytest.approx(0.08, rel=0.1)


def test_a_machine_that_slept_in_mid_pass_is_not_thought_slow() -> None:
    cost = learned(0.001, 0.01, [1, 4, 8] * 10)
    cost.observe(8, 3600.0)
    assert cost.seconds(8) < 2 * 0.081
    assert cost.within(0.2) >= 8


CPU, GPU, SLOW_START = (0.0005, 0.05), (0.004, 0.0003), (0.2, 0.01)
"""Seconds of overhead, and for each image."""


@pytest.mark.parametrize(
    ("device", "requests", "alone", "beside"),
    [
        pytest.param(
            CPU, 8, 20, 4, id="every image costs the same: what fits into a second; beside callers into 200 ms"
        ),
        pytest.param((0.0005, 0.005), 8, 32, 8, id="beside callers no more than a few where larger ones gain nothing"),
        pytest.param(GPU, 32, 32, 32, id="large batches pay and are short"),
        pytest.param((0.1, 0.01), 32, 32, 10, id="large batches pay and are long"),
        pytest.param((0.1, 0.9), 8, 1, 1, id="a single one is too long already"),
    ],
)
def test_the_size_of_a_batch(device: tuple[float, float], requests: int, alone: int, beside: int) -> None:
    cost, policy = learned(*device, [1, 2, 4, 8] * 30), BatchPolicy()
    assert policy.of_requests(cost) == pytest.approx(requests, abs=1)
    assert policy.of_stream(cost, around=False) == pytest.approx(alone, abs=1)
    assert policy.of_stream(cost, around=True) == pytest.approx(beside, abs=1)


def test_a_pass_stands_still_a_second_for_each_fifth_of_one_that_it_was_computed() -> None:
    policy = BatchPolicy(stream_wait_s=1.0, short_batch_s=0.2, long_batch_s=1.0)
    still = [policy.may_pause(worked_s, paused_s) for worked_s, paused_s in ((0, 0.9), (0, 1), (0.2, 1.9), (0.2, 2))]
    assert still == [True, False, True, False]
    asleep_s = 3600.0  # the machine, while a layer was computed
    assert policy.may_pause(asleep_s, 5.9)
    assert not policy.may_pause(asleep_s, 6.1)


@pytest.mark.parametrize("device", [CPU, GPU, SLOW_START])
def test_the_size_is_found_from_nothing_but_the_first_image(device: tuple[float, float]) -> None:
    cost, policy = learned(*device, [1]), BatchPolicy()
    for number in range(200):
        size = policy.of_requests(cost)
        size = max(1, size // 2) if number % 8 == 7 else size
        cost.observe(size, device[0] + size * device[1])
    best = 32 / (device[0] + 32 * device[1])
    found = policy.of_requests(cost)
    assert found / (device[0] + found * device[1]) > 0.9 * best
