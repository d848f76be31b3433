"""What a process is told of whom it tells things: `HOLDGATE_MAIL_...`, `..._GA4_...`, `..._WEBHOOKS_...`.

Everything is off until it is configured. The file of webhook targets is read once, at the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Struct
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from holdgate_workers.app.notifications.webhooks import ALL, InvalidWebhook, WebhookTarget

PREFIX = "HOLDGATE_"
EUROPE_URL = "https://region1.google-analytics.com/mp/collect"
TOKEN_CHARS_MIN = 16
TARGETS_MAX = 50
SALT_BYTES_MAX = 64
FILE_SCHEME = "file:"


class InvalidTargets(ValueError):
    """The file of targets cannot be used; names the target and the field, never an address or a secret."""


class _Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str
    secrets: Annotated[list[str], Meta(min_length=1, max_length=2)]
    events: tuple[str, ...] = (ALL,)


class _Targets(Struct, frozen=True, forbid_unknown_fields=True):
    targets: Annotated[list[_Target], Meta(max_length=TARGETS_MAX)]


_targets = msgspec.json.Decoder(_Targets)


class NoticeSettings(BaseSettings):
    """The part of the configuration that is about telling the world."""

    mail_url: SecretStr | None = Field(
        None, description="where mails go: smtp://user:password@host, smtps://..., file:FOLDER; unset: none"
    )
    mail_from: str | None = Field(None, description="the address that mails come from")
    mail_from_name: str | None = Field(None, description="the house's name in mails")
    mail_reply_to: str | None = Field(None, description="where answers go, if not to the same address")
    mail_templates: Path | None = Field(None, description="a folder with templates of your own")
    mail_locale: str = Field("en", description="the language of customers who said none, such as de-AT")
    mail_ca_file: Path | None = Field(None, description="an authority that the mail server's certificate is of")
    ga4_measurement_id: str | None = Field(None, description="the id of a web stream, G-...; unset: none")
    ga4_api_secret: SecretStr | None = Field(None, description="a secret of the stream for this house")
    ga4_salt: SecretStr | None = Field(None, description="keeps sessions unknown to Google: 1 to 64 bytes")
    ga4_url: str = Field(EUROPE_URL, description="the collector")
    webhooks_file: Path | None = Field(None, description="JSON with the targets of events; unset: none")
    webhook_plain_http_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts of targets that may be reached without TLS, separated by commas"
    )
    calendar_token: SecretStr | None = Field(
        None, description="opens the calendar feeds beside /metrics; unset: not served"
    )
    calendar_domain: str = Field("holdgate.invalid", description="makes ids in calendars unique in the world")

    @field_validator("webhook_plain_http_hosts", mode="before")
    @classmethod
    def _webhook_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @model_validator(mode="after")
    def _notices_are_whole(self) -> Self:
        problems = [*self._mail_problems(), *self._ga4_problems(), *self._calendar_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _mail_problems(self) -> Iterator[str]:
        if not self.mails_are_on:
            return
        for name in ("mail_from", "mail_from_name"):
            if not getattr(self, name):
                yield f"{variable(name)}: is needed with {variable('mail_url')}"

    def _ga4_problems(self) -> Iterator[str]:
        if not self.analytics_are_on:
            return
        for name in ("ga4_api_secret", "ga4_salt"):
            if not told(getattr(self, name)):
                yield f"{variable(name)}: is needed with {variable('ga4_measurement_id')}"
        if len(told(self.ga4_salt).encode()) > SALT_BYTES_MAX:
            yield f"{variable('ga4_salt')}: must have at most {SALT_BYTES_MAX} bytes"

    def _calendar_problems(self) -> Iterator[str]:
        if 0 < len(told(self.calendar_token)) < TOKEN_CHARS_MIN:
            yield f"{variable('calendar_token')}: must have at least {TOKEN_CHARS_MIN} characters"

    @property
    def mails_are_on(self) -> bool:
        """Whether mails go anywhere."""
        return bool(told(self.mail_url))

    @property
    def analytics_are_on(self) -> bool:
        """Whether anything is reported."""
        return bool(self.ga4_measurement_id)


def read_targets(path: Path) -> tuple[WebhookTarget, ...]:
    """The targets of a file: `{"targets": [{"name": …, "url": …, "secrets": […], "events": […]}]}`.

    Raises `InvalidTargets`.
    """
    try:
        found = _targets.decode(path.read_bytes()).targets
    except OSError as exc:
        raise InvalidTargets(f"cannot be read: {exc.strerror or type(exc).__name__}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidTargets(str(exc)) from None
    targets: dict[str, WebhookTarget] = {}
    for number, item in enumerate(found):
        try:
            target = WebhookTarget(name=item.name, url=item.url, secrets=tuple(item.secrets), events=item.events)
        except InvalidWebhook as exc:
            raise InvalidTargets(f"targets[{number}]: {exc}") from None
        if target.name in targets:
            raise InvalidTargets(f"targets[{number}]: there is another one with the name {target.name}")
        targets[target.name] = target
    return tuple(targets.values())


def variable(name: str) -> str:
    """What the setting is called in the environment."""
    return f"{PREFIX}{name.upper()}"


def told(secret: SecretStr | None) -> str:
    """The secret itself; empty if there is none."""
    return "" if secret is None else secret.get_secret_value()
