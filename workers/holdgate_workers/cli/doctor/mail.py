"""The doctor on mails: whether they could be sent now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.config.environment import ServiceConfig


def mail(config: ServiceConfig) -> Checks:
    """Log in at the mail server and send nothing, or write a file into the folder."""
    from holdgate_workers.config.notifications import FILE_SCHEME, told
    from holdgate_workers.wiring.outside import mail_fault

    if not config.mails_are_on:
        yield Check("mail", "sending", "skip", "HOLDGATE_MAIL_URL is not set; it is optional")
        return
    fault = mail_fault(config)
    if fault is not None:
        yield Check("mail", "sending", "fail", fault.what, fault.mend)
    elif told(config.mail_url).startswith(FILE_SCHEME):
        yield Check("mail", "sending", "ok", "a file was written into the folder and taken away")
    else:
        yield Check("mail", "sending", "ok", "the mail server lets us in; nothing was sent")
