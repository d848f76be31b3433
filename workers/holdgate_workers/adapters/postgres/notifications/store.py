"""Everything that one thread needs of the database to tell the world, over one connection."""

from __future__ import annotations

from holdgate_workers.adapters.postgres.session import Session

from .deliveries import DeliveryBook
from .facts import FactReader
from .mail_plans import MailPlanBook


class NoticeStore:
    """Facts, plans and the log of deliveries. Not thread-safe."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="notices")
        self.facts = FactReader(self._session)
        self.plans = MailPlanBook(self._session)
        self.log = DeliveryBook(self._session)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
