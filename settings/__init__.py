"""Every knob: one frozen model a room (`kafka.py`, `rooms.py`), and `Settings`, which is all of them (`loading.py`).

A room takes its own model (`InferenceSettings`), a command hands it the whole `Settings`; tests build what they need.
"""

from settings.kafka import KafkaSettings
from settings.loading import PREFIX, Settings, is_secret, known_variables, load, origins, unknown_variables
from settings.rooms import (
    ApiSettings,
    ConsumerSettings,
    FileSettings,
    InferenceSettings,
    LifeSettings,
    LogSettings,
    MonitorSettings,
    SourceSettings,
    StoreSettings,
)

__all__ = [
    "PREFIX",
    "ApiSettings",
    "ConsumerSettings",
    "FileSettings",
    "InferenceSettings",
    "KafkaSettings",
    "LifeSettings",
    "LogSettings",
    "MonitorSettings",
    "Settings",
    "SourceSettings",
    "StoreSettings",
    "is_secret",
    "known_variables",
    "load",
    "origins",
    "unknown_variables",
]
