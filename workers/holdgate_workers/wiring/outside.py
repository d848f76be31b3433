"""Whether what is outside of the house takes us as we are set up: the mail server or folder, and the shop."""

from __future__ import annotations

from holdgate_workers.adapters.mail.diagnosis import TRANSIENT
from holdgate_workers.app.faults import Fault
from holdgate_workers.config.environment import ConfigError, ServiceConfig


def mail_fault(config: ServiceConfig) -> Fault | None:
    """Greet the mail server and log in, or write a file into the folder; None if that works or no mails are sent."""
    if not config.mails_are_on:
        return None
    from .senders import mailing

    try:
        made = mailing(config)
    except ConfigError as exc:
        return Fault("malformed", str(exc), "correct it")
    return None if made is None else made.sender.fault()


def shop_fault(config: ServiceConfig) -> Fault | None:
    """Ask a WooCommerce shop for one order; None if it answers as agreed, or is not the gateway."""
    if config.order_gateway != "woocommerce":
        return None
    from holdgate_workers.adapters.shops.woocommerce.setup import let_in

    from .shops import woocommerce_client

    try:
        client = woocommerce_client(config)
    except ConfigError as exc:
        return Fault("malformed", str(exc), "correct it")
    return let_in(client)


def is_ours_to_mend(fault: Fault) -> bool:
    """Whether it is a mistake in how we are set up. An outage is not: it passes, tasks wait for it, and a process that
    is taken out of service or started again for it helps nobody."""
    return fault.kind not in TRANSIENT
