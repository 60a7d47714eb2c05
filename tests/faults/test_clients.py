"""How our consumer is built: against what Kafka's client does by default."""

import pytest

from broker.clients import MAX_POLL_INTERVAL_S, MIB, build_consumer
from consumer.assignment import REVOKE_DRAIN_S
from consumer.budget import share_bytes
from consumer.worker import _fetch_bytes
from settings import Settings


@pytest.fixture
def nowhere() -> Settings:
    return Settings(kafka_bootstrap_servers="127.0.0.1:1", _env_file=None)


async def test_a_member_is_one_of_the_plain_kind_whose_time_outs_contain_each_other(nowhere: Settings) -> None:
    member = build_consumer(nowhere, partition_fetch_bytes=MIB)
    try:
        session_ms, rebalance_ms = member._session_timeout_ms, member._rebalance_timeout_ms
        assert member._heartbeat_interval_ms * 3 < session_ms < rebalance_ms < member._request_timeout_ms
        assert rebalance_ms > REVOKE_DRAIN_S * 1000
        assert member._max_poll_interval_ms == MAX_POLL_INTERVAL_S * 1000 > rebalance_ms
        assert len(member._partition_assignment_strategy) == 1
        assert member._group_instance_id is None
        assert member._enable_auto_commit is False
        assert member._isolation_level == "read_committed"
        assert member._key_deserializer is None
        assert member._value_deserializer is None
    finally:
        await member.stop()


@pytest.mark.parametrize("partitions", [1, 6, 50, 1000])
@pytest.mark.parametrize("memory_budget_mb", [1024, 4096])
def test_what_the_client_fetches_ahead_stays_within_its_share_of_the_memory(
    nowhere: Settings, partitions: int, memory_budget_mb: int
) -> None:
    settings = nowhere.model_copy(update={"memory_budget_mb": memory_budget_mb})
    size, share = _fetch_bytes(settings, partitions), share_bytes(settings)
    assert share <= memory_budget_mb * MIB // 4
    assert size <= 4 * MIB
    # A partition gets a quarter of a MiB at least: with a thousand of them that may be more than the share.
    assert partitions * size <= max(share, partitions * MIB // 4)
