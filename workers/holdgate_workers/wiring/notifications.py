"""Puts together what tells the world: planners for the feeder, handlers for the role `notifications`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from holdgate_workers.adapters.postgres.notifications.store import NoticeStore
from holdgate_workers.adapters.webhooks.receivers import Receivers
from holdgate_workers.app.notifications.delivery.delivering import Deliverer
from holdgate_workers.app.notifications.delivery.retries import RetryPolicy
from holdgate_workers.app.notifications.handlers import AnalyticsHandler, MailHandler, MailPlanner, WebhookHandler
from holdgate_workers.app.notifications.planning import (
    PLAN_MAILS,
    POST_EVENT,
    REPORT_EVENT,
    SEND_MAIL,
    notice_planners,
)
from holdgate_workers.app.notifications.webhooks import WebhookTarget
from holdgate_workers.app.tasks.tasks import Handler, Planner, Retries
from holdgate_workers.config.environment import ConfigError, ServiceConfig
from holdgate_workers.config.notifications import InvalidTargets, read_targets, told, variable

NOTICE_THREADS = 8
"""They mostly wait for others' answers; a quarter of them at most waits for the same."""

CLAIMS = Retries(attempts_max=1_000_000)
"""How often a delivery is attempted stands in its own log; while its receiver's circuit is open it is claimed in vain
any number of times."""
PLANS = Retries(attempts_max=100)
"""Each takes the next bookings of an occurrence that moved: enough for 200,000 of them."""
NOTICE_RETRIES: Mapping[str, Retries] = {
    PLAN_MAILS: PLANS,
    SEND_MAIL: CLAIMS,
    REPORT_EVENT: CLAIMS,
    POST_EVENT: CLAIMS,
}


def planners_of(config: ServiceConfig) -> tuple[Planner, ...]:
    """The planners of what is on. Raises `ConfigError`."""
    return notice_planners(
        mails=config.mails_are_on, analytics=config.analytics_are_on, targets=webhook_targets(config)
    )


def webhook_targets(config: ServiceConfig) -> tuple[WebhookTarget, ...]:
    """The targets that are configured. Raises `ConfigError`."""
    if config.webhooks_file is None:
        return ()
    try:
        return read_targets(config.webhooks_file)
    except InvalidTargets as exc:
        raise ConfigError(f"{variable('webhooks_file')}: {exc}") from None


def notice_handlers(
    config: ServiceConfig, database_url: str, receivers: Receivers, *, policy: RetryPolicy | None = None
) -> Callable[[], Mapping[str, Handler]]:
    """What makes the handlers of one thread, for what is on. Raises `ConfigError` naming the variable that is wrong.

    Senders, templates and the circuits of the receivers are shared by all threads.
    """
    from . import senders as bootstrap_senders  # templates and languages that the other roles need not wait for

    mailing = bootstrap_senders.mailing(config)
    analytics = bootstrap_senders.analytics(config)
    webhooks = bootstrap_senders.webhooks(config, webhook_targets(config))

    def make() -> Mapping[str, Handler]:
        store = NoticeStore(database_url)
        facts, close = store.facts, store.close
        deliverer = Deliverer(store.log, receivers, draw=random.random, policy=policy)
        # Webhooks always, so that what goes to a target that is gone ends where people see it.
        made: list[Handler] = [WebhookHandler(facts, deliverer, close, senders=webhooks)]
        if mailing is not None:
            made.append(MailPlanner(store.plans, close))
            made.append(
                MailHandler(
                    facts,
                    deliverer,
                    close,
                    sender=mailing.sender,
                    texts=mailing.texts,
                    invitations=mailing.invitations,
                )
            )
        if analytics is not None:
            salt = told(config.ga4_salt).encode()
            made.append(AnalyticsHandler(facts, deliverer, close, sender=analytics, salt=salt))
        return {handler.kind: handler for handler in made}

    return make
