"""What the models of settings are made of."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Room(BaseModel):
    """One room's settings: frozen; its docstrings are the options' help."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=(), extra="ignore")
