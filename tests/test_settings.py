"""Settings: where a value comes from, and that a wrong one ends in one line which names it and shows no secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from errors import UsageError
from settings import ApiSettings, KafkaSettings, Settings, SourceSettings, known_variables, load, unknown_variables

URL = "postgresql://scorer:hunter2@db/scores"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No SCORER_ variable and no .env but those of the test; returns the folder it runs in."""
    for name in known_variables() | set(unknown_variables()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_with_nothing_given_the_documented_defaults_hold() -> None:
    settings = load()
    assert settings.kafka_topic == "image-events"
    assert settings.kafka_dlq_topic == "image-events.dlq"
    assert settings.kafka_scores_topic is None
    assert (settings.host, settings.port, settings.insecure) == ("127.0.0.1", 8000, False)
    assert (settings.weights, settings.top_k, settings.id_fallback) == ("IMAGENET1K_V2", 5, "coordinates")
    assert settings.uri_file_roots == settings.uri_http_hosts == settings.uri_s3_buckets == ()


def test_options_come_before_environment_before_env_file_before_defaults(
    monkeypatch: pytest.MonkeyPatch, empty_environment: Path
) -> None:
    assert load().kafka_group_id == "streamscorer"
    (empty_environment / ".env").write_text("SCORER_KAFKA_GROUP_ID=from-env-file\nSOMETHING_ELSE=1\n")
    assert load().kafka_group_id == "from-env-file"
    monkeypatch.setenv("SCORER_KAFKA_GROUP_ID", "from-environment")
    assert load().kafka_group_id == "from-environment"
    assert load({"kafka_group_id": "from-option"}).kafka_group_id == "from-option"
    assert load({"kafka_group_id": None}).kafka_group_id == "from-environment"


def test_a_secret_may_come_from_a_file_which_stands_between_environment_and_env_file(
    monkeypatch: pytest.MonkeyPatch, empty_environment: Path
) -> None:
    (empty_environment / "url").write_text(URL + "\n")
    (empty_environment / ".env").write_text("SCORER_DATABASE_URL=postgresql://elsewhere/\n")
    monkeypatch.setenv("SCORER_DATABASE_URL_FILE", str(empty_environment / "url"))
    found = load().database_url
    assert found is not None
    assert found.get_secret_value() == URL
    given = load({"database_url": "postgresql://option/"}).database_url
    assert given is not None
    assert given.get_secret_value() == "postgresql://option/"


def test_a_secret_given_twice_is_a_contradiction(monkeypatch: pytest.MonkeyPatch, empty_environment: Path) -> None:
    monkeypatch.setenv("SCORER_DATABASE_URL_FILE", str(empty_environment / "url"))
    monkeypatch.setenv("SCORER_DATABASE_URL", URL)
    with pytest.raises(UsageError, match="SCORER_DATABASE_URL and SCORER_DATABASE_URL_FILE contradict") as refusal:
        load()
    assert "hunter2" not in str(refusal.value)


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, empty_environment: Path) -> None:
    monkeypatch.setenv("SCORER_DATABASE_URL_FILE", "/nowhere/url")
    with pytest.raises(UsageError, match="SCORER_DATABASE_URL_FILE=/nowhere/url: No such file or directory"):
        load()
    (empty_environment / "binary").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("SCORER_DATABASE_URL_FILE", "binary")
    with pytest.raises(UsageError, match=r"SCORER_DATABASE_URL_FILE=binary: .*UTF-8"):
        load()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCORER_PORT", "SCORER_DATABASE_URL", "SCORER_DATABASE_URL_FILE", "SCORER_KAFKA_DLQ_TOPIC"):
        monkeypatch.setenv(name, "")
    settings = load()
    assert (settings.port, settings.database_url, settings.kafka_dlq_topic) == (8000, None, "image-events.dlq")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "eighty", "integer"),
        ("PORT", "70000", "65535"),
        ("TOP_K", "0", "greater than or equal to 1"),
        ("LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
        ("ID_FALLBACK", "random", "'coordinates' or 'sha256'"),
        ("DEVICE", "tpu", "pattern"),
        ("MODEL_VERSION", "a/b", "pattern"),
        ("DRAIN_TIMEOUT_S", "-1", "greater than 0"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'SASL_SSL'"),
        ("INSECURE", "perhaps", "boolean"),
        ("MEMORY_BUDGET_MB", "1", "2048"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"SCORER_{name}", value)
    with pytest.raises(UsageError) as refusal:
        load()
    assert str(refusal.value).startswith(f"SCORER_{name}={value}: ")
    assert allowed in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_wrong_option_is_named_as_the_option_it_was_given_as() -> None:
    with pytest.raises(UsageError, match=r"^--log-format=xml: "):
        load({"log_format": "xml"})


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_PORT", "x")
    monkeypatch.setenv("SCORER_TOP_K", "y")
    with pytest.raises(UsageError) as refusal:
        load()
    assert "SCORER_PORT=x" in str(refusal.value)
    assert "SCORER_TOP_K=y" in str(refusal.value)


@pytest.mark.parametrize("wrong", ["mysql://scorer:hunter2@db/scores", "hunter2", "scorer:hunter2@db", "://hunter2"])
def test_a_wrong_secret_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("SCORER_DATABASE_URL", wrong)
    with pytest.raises(UsageError, match=r"^SCORER_DATABASE_URL: must begin with postgresql://") as refusal:
        load()
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_secrets_are_not_in_what_settings_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_DATABASE_URL", URL)
    settings = load({
        "kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN", "kafka_sasl_username": "scorer",
        "kafka_sasl_password": "hunter2",
    })  # fmt: skip
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter2" not in text
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "SCORER_KAFKA_SECURITY_PROTOCOL=SASL_SSL needs SCORER_KAFKA_SASL_M"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "SCORER_KAFKA_SASL_MECHANISM=PLAIN contradicts SCORER_KAFKA_SECURITY_PROT"),
        ({"kafka_dlq_topic": "image-events"}, "SCORER_KAFKA_TOPIC=image-events, SCORER_KAFKA_DLQ_TOPIC=image-events"),
        ({"kafka_scores_topic": "image-events.dlq"}, "must be three different topics"),
        ({"host": "0.0.0.0"}, "SCORER_HOST=0.0.0.0 is reachable .* set SCORER_INSECURE=true"),
    ],
)
def test_options_that_contradict_each_other_are_both_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as refusal:
        load(given)
    assert "\n" not in str(refusal.value)


def test_the_dead_letter_topic_follows_the_input_topic() -> None:
    assert load({"kafka_topic": "photos"}).kafka_dlq_topic == "photos.dlq"
    assert KafkaSettings(kafka_topic="photos").kafka_dlq_topic == "photos.dlq"
    assert load({"kafka_topic": "photos", "kafka_dlq_topic": "dead"}).kafka_dlq_topic == "dead"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert ApiSettings(host=host).host == host
    assert ApiSettings(host="0.0.0.0", insecure=True).insecure


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_URI_HTTP_HOSTS", " a.example.org, *.example.com:8080 ,,")
    assert load().uri_http_hosts == ("a.example.org", "*.example.com:8080")
    assert SourceSettings(uri_s3_buckets=("a", "b")).uri_s3_buckets == ("a", "b")


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCORER_KAFKA_TOPICS", "SCORER_PORT", "SCORER_PORT_FILE", "SCORER_DATABASE_URL_FILE", "OTHER"):
        monkeypatch.setenv(name, "1")
    assert unknown_variables() == ["SCORER_KAFKA_TOPICS", "SCORER_PORT_FILE"]


def test_settings_cannot_be_changed_after_the_start() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # that it is refused is the point


def test_every_setting_says_in_words_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
