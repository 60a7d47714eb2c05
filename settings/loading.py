"""All settings in one model, from options, SCORER_ variables, secret files and .env; and where each came from."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from errors import UsageError
from settings.rooms import (
    ApiSettings,
    ConsumerSettings,
    InferenceSettings,
    LogSettings,
    MonitorSettings,
    StoreSettings,
)

PREFIX = "SCORER_"


class Settings(
    ConsumerSettings, StoreSettings, InferenceSettings, ApiSettings, MonitorSettings, LogSettings, BaseSettings
):
    """All of them. Precedence: options, environment, secret files, .env, defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", frozen=True, use_attribute_docstrings=True, protected_namespaces=(),
        extra="ignore", env_ignore_empty=True,
    )  # fmt: skip

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (pydantic calls it by this name)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """SCORER_X_FILE names a file that holds the secret X."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if not path or not is_secret(field.annotation):
            return None, field_name, False
        if os.environ.get(variable):
            raise UsageError(f"{variable} and {variable}_FILE contradict each other: set one of them")
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise UsageError(f"{variable}_FILE={path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise UsageError(f"{variable}_FILE={path}: not a text in UTF-8") from None  # its message shows the bytes

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def load(options: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `options` (command line), environment, secret files and .env. UsageError names what is wrong."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise UsageError("; ".join(_explain(problem, given) for problem in error.errors())) from None


def origins(options: Collection[str] = ()) -> dict[str, str]:
    """Where the value of each setting comes from, given the names of the `options` that were used."""
    sources: dict[str, Collection[str]] = {
        "option": options,
        "environment": EnvSettingsSource(Settings)(),
        "file": _SecretFiles(Settings)(),
        ".env": DotEnvSettingsSource(Settings)(),
    }
    return {
        name: next((origin for origin, found in sources.items() if name in found), "default")
        for name in Settings.model_fields
    }


def known_variables() -> set[str]:
    """Every SCORER_ variable that a setting reads."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return names | {
        f"{PREFIX}{name.upper()}_FILE" for name, f in Settings.model_fields.items() if is_secret(f.annotation)
    }


def unknown_variables() -> list[str]:
    """SCORER_ variables of the environment that no setting reads: most likely misspelt."""
    known = known_variables()
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _explain(problem: Any, given: Mapping[str, Any]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    name = str(problem["loc"][0])
    where = f"--{name.replace('_', '-')}" if name in given else f"{PREFIX}{name.upper()}"
    secret = is_secret(Settings.model_fields[name].annotation)
    value = "" if secret else f"={problem['input']}"
    return f"{where}{value}: {message}"


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a secret."""
    return "SecretStr" in str(annotation)
