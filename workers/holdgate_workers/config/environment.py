"""What a process is told by its environment: `HOLDGATE_...`, read once, checked as a whole."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from holdgate_schema.cache import HOUSE_DEFAULT, is_house
from holdgate_schema.topology import PARTITIONS_DEFAULT, PARTITIONS_MAX

from .notifications import NoticeSettings
from .shops import OrderSettings
from .urls import check_url


class ConfigError(Exception):
    """The environment does not make sense; names every variable that is wrong."""


class ServiceConfig(OrderSettings, NoticeSettings):
    """Every variable has a default; with no URL set everything runs embedded, in one data folder."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDGATE_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(None, description="PostgreSQL 15 or later; unset: embedded")
    amqp_url: str | None = Field(None, description="RabbitMQ 3.10 or later; unset: a queue in the database")
    redis_url: str | None = Field(None, description="Redis 6 or later for the read side; unset: none")
    house: str = Field(HOUSE_DEFAULT, description="its name in a Redis that houses share")
    data_dir: Path = Field(Path(".holdgate"), description="where the embedded database lives")
    partitions: int = Field(PARTITIONS_DEFAULT, ge=1, le=PARTITIONS_MAX, description="decided once per house")
    migrate: bool = Field(False, description="set up schema and queues at the start of a worker")
    batch_messages_max: int = Field(500, ge=1, le=5000, description="requests decided in one transaction")
    prefetch_messages: int = Field(2000, ge=1, le=10000, description="requests delivered ahead, per partition")
    memory_weight_max: int = Field(200_000, ge=1, description="occurrences plus live holds kept in memory")
    task_threads: int = Field(4, ge=1, le=64, description="tasks that a pricing or orders worker does at once")
    sweep_interval_seconds: float = Field(1.0, gt=0, le=60, description="how often due holds are looked for")
    metrics_host: str = Field("127.0.0.1", description="where /metrics, /livez and /readyz listen")
    metrics_port: int | None = Field(None, ge=0, le=65535, description="unset: not served; 0: any free port")
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="networks whose X-Forwarded-For is believed, separated by commas"
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = Field("auto", pattern="^(auto|json|console)$", description="auto: console on a terminal")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        # libpq also takes "host=… dbname=…".
        if value is not None and ("://" in value or "=" not in value):
            check_url(value, ("postgresql", "postgres"))
        return value

    @field_validator("amqp_url")
    @classmethod
    def _broker(cls, value: str | None) -> str | None:
        if value is not None:
            check_url(value, ("amqp", "amqps"))
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("unix://"):
            check_url(value, ("redis", "rediss"))
        return value

    @field_validator("house")
    @classmethod
    def _named(cls, value: str) -> str:
        if not is_house(value):
            raise ValueError("must be 1 to 64 of A-Z a-z 0-9 _ . -")
        return value

    @property
    def is_embedded(self) -> bool:
        """Whether the queue lives in the database."""
        return self.amqp_url is None


def read_config(**overrides: object) -> ServiceConfig:
    """The configuration; raises `ConfigError` naming every variable that is wrong."""
    try:
        return ServiceConfig(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        problems = [_problem(error["loc"], error["msg"]) for error in exc.errors(include_input=False)]
        raise ConfigError("; ".join(problems)) from exc


def _problem(place: tuple[int | str, ...], message: str) -> str:
    """What is wrong with several variables together names them itself."""
    words = message.removeprefix("Value error, ")
    return f"HOLDGATE_{str(place[0]).upper()}: {words}" if place else words
