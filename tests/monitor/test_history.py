"""The last hour in memory: bounded, and without partitions that are gone."""

from broker.samples import Place
from monitor.history import History
from tests.monitor.histories import TOPIC, partition
from tests.monitor.histories import History as Looks


def test_an_hour_is_kept_and_no_more() -> None:
    looks, history = Looks(), History()
    for _ in range(100):
        history.add(looks.look(partition(7, 7), after_s=60))
    assert len(history.moments) == 61
    for _ in range(1000):
        history.add(looks.look(partition(7, 9), after_s=1))
    assert len(history.moments) == 720
    assert history.moments[-1].lag == 2
    assert list(history.lags(Place(TOPIC, 0))) == [2] * 60


def test_a_partition_that_is_gone_loses_its_curve() -> None:
    looks, history = Looks(), History()
    history.add(looks.look(partition(7, 9), partition(1, 2, number=1)))
    history.add(looks.look(partition(7, 9)))
    assert list(history.lags(Place(TOPIC, 1))) == []
    assert list(history.lags(Place(TOPIC, 0))) == [2, 2]
