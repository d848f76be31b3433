"""Puts together who is told things: the mail server or a folder, Google Analytics, the targets of webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdgate_workers.adapters.analytics.ga4 import Ga4Sender, Ga4Stream, InvalidGa4
from holdgate_workers.adapters.calendars.invitations import IcsInvitations
from holdgate_workers.adapters.mail.file_sink import FileSink
from holdgate_workers.adapters.mail.server import InvalidMailServer, mail_server
from holdgate_workers.adapters.mail.smtp import SmtpSender
from holdgate_workers.adapters.mail.texts import InvalidTemplates, TemplateTexts
from holdgate_workers.adapters.webhooks.posting import WebhookPoster
from holdgate_workers.app.notifications.people import InvalidPerson, Sender
from holdgate_workers.app.notifications.ports import (
    AnalyticsSender,
    Invitations,
    MailSender,
    MailTexts,
    WebhookSender,
)
from holdgate_workers.app.notifications.webhooks import InvalidWebhook, WebhookTarget
from holdgate_workers.config.environment import ConfigError, ServiceConfig
from holdgate_workers.config.notifications import FILE_SCHEME, told, variable


@dataclass(slots=True, frozen=True)
class Mailing:
    """What mails are made with and go by. Safe for several threads."""

    sender: MailSender
    texts: MailTexts
    invitations: Invitations


def mailing(config: ServiceConfig) -> Mailing | None:
    """None if no mails are sent. Raises `ConfigError`."""
    if not config.mails_are_on:
        return None
    try:
        house = Sender(
            name=config.mail_from_name or "", email=config.mail_from or "", reply_to=config.mail_reply_to
        )
    except InvalidPerson as exc:
        names = {"name": "mail_from_name", "email": "mail_from", "reply_to": "mail_reply_to"}
        problems = [f"{variable(names[error.field])}: {error.reason}" for error in exc.errors]
        raise ConfigError("; ".join(problems)) from None
    try:
        texts = TemplateTexts(house, folder=config.mail_templates, locale=config.mail_locale)
    except InvalidTemplates as exc:
        at = "mail_locale" if any(error.field == "locale" for error in exc.errors) else "mail_templates"
        raise ConfigError(f"{variable(at)}: {exc}") from None
    return Mailing(_mail_sender(config, house), texts, IcsInvitations(house))


def _mail_sender(config: ServiceConfig, house: Sender) -> MailSender:
    url = told(config.mail_url)
    if url.startswith(FILE_SCHEME):
        folder = url.removeprefix(FILE_SCHEME).removeprefix("//")
        if not folder:
            raise ConfigError(f"{variable('mail_url')}: {FILE_SCHEME} is followed by a folder")
        return FileSink(Path(folder), house)
    try:
        return SmtpSender(mail_server(url, ca_file=config.mail_ca_file), house)
    except InvalidMailServer as exc:
        raise ConfigError(f"{variable('mail_url')}: {exc}, or is {FILE_SCHEME}FOLDER") from None
    except OSError as exc:
        raise ConfigError(f"{variable('mail_ca_file')}: cannot be used: {exc.strerror}") from None


def analytics(config: ServiceConfig) -> AnalyticsSender | None:
    """None if nothing is reported. Raises `ConfigError`."""
    if not config.analytics_are_on:
        return None
    try:
        return Ga4Sender(
            Ga4Stream(
                measurement_id=config.ga4_measurement_id or "",
                api_secret=told(config.ga4_api_secret),
                url=config.ga4_url,
            )
        )
    except InvalidGa4 as exc:
        problems = [f"{variable(f'ga4_{error.field}')}: {error.reason}" for error in exc.errors]
        raise ConfigError("; ".join(problems)) from None


def webhooks(config: ServiceConfig, targets: Iterable[WebhookTarget]) -> Mapping[str, WebhookSender]:
    """A sender for each target by its name. Raises `ConfigError`."""
    hosts = config.webhook_plain_http_hosts
    try:
        return {target.name: WebhookPoster(target, _wall_clock, plain_http_hosts=hosts) for target in targets}
    except InvalidWebhook as exc:
        raise ConfigError(f"{variable('webhooks_file')}: {exc}") from None


def _wall_clock() -> datetime:
    """Receivers hold the time of sending against their own clocks, not against the database's."""
    return datetime.now(UTC)  # noqa: TID251
