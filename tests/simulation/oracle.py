"""The judge: looks at every commit, every reply, every event, and at what is left in the end."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b, sha256

from holdgate_workers.app.gate.effects import JournalRow
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.domain.decision import LimitKey

from .at_rest import judge
from .broker import Broker, Message
from .database import Database
from .ledger import Ledger
from .model import Book, Shared
from .requests import SECRET, Request
from .sales import Sales
from .transaction import Transaction
from .wire import Reply, Told, read_event, read_reply
from .world import SECOND, Violation, World

SLACK = timedelta(milliseconds=150)
"""By how much a process's idea of the time may be off between two looks, at the paces that the simulation gives it."""
OVERDUE = timedelta(seconds=3)


class Oracle(Ledger):
    """Knows every request, keeps a book of every occurrence, and raises `Violation`."""

    def __init__(self, world: World, database: Database, broker: Broker) -> None:
        super().__init__(world, database, broker)
        broker.on_asked = self.house_asks
        database.on_commit = self.committed
        broker.on_delivered = self.delivered
        broker.on_settled = self.settled
        broker.on_event = self.told

    def house_asks(self, message: Outgoing) -> None:
        """Somebody asks what needs a seal; it is ours if the seal is."""
        seal = message.properties.headers.get("holdgate-seal")
        if seal == hmac.new(SECRET, b"holdgate internal command\0" + message.body, sha256).hexdigest():
            fingerprint = blake2b(message.body, digest_size=16).digest()
            self._sealed.setdefault(message.properties.message_id or "", set()).add(fingerprint)

    def know(self, request: Request) -> None:
        """A client is about to ask."""
        if request.correlation not in self._by_correlation:
            self._by_correlation[request.correlation] = request
            self._requests.setdefault(request.id, []).append(request)

    def delivered(self, message: Message) -> None:
        """A request was handed to a consumer."""
        request = self._by_correlation.get(message.properties.correlation_id or "")
        if request is not None and request.id == message.properties.message_id:
            request.deliveries += 1

    def settled(self, message: Message) -> None:
        """The broker was told to forget a request: what became of it must be durable by now."""
        request = self._by_correlation.get(message.properties.correlation_id or "")
        if request is None or request.id != message.properties.message_id:
            self._settled_of_ours(message)
            return
        if request.is_read or request.kind == "hold.sweep.v1":
            return
        if request.id not in self.database.journal and request.id not in self.broker.dead:
            raise Violation(f"LOST: {request.correlation} was acknowledged and is not decided")

    def _settled_of_ours(self, message: Message) -> None:
        request_id = message.properties.message_id or ""
        traceless = message.properties.type in ("hold.sweep.v1", "booking.note_order.v1")
        if request_id in self._sealed and not traceless and request_id not in self.database.journal:
            raise Violation(f"LOST: {message.properties.type} {request_id} was acknowledged and is not decided")

    # --- commits ------------------------------------------------------------------------------------------------

    def committed(self, transaction: Transaction) -> None:
        """Judge a commit at the instant at which it becomes true."""
        rows = [recording.row for recording in transaction.journal]
        self.world.note(
            "commit", transaction.xid, [(row.kind, row.outcome, row.reason, row.request_id) for row in rows]
        )
        before = self._shared.copy()
        for row in rows:
            self._row(row, transaction, before)
        self._rows_agree(transaction)

    def _row(self, row: JournalRow, transaction: Transaction, before: Shared) -> None:
        reply = read_reply(row.reply)
        self._in_time(reply, transaction)
        request = self._asked(row)
        book = self._books.get(row.occurrence_id)
        if reply.reason == "unknown_occurrence" and row.version == 0:
            made_at = self._made_at.get(row.occurrence_id)
            if made_at is not None and made_at < transaction.began_at:
                raise Violation(f"{row.occurrence_id} was there and was not found")
            self._loose.update(read_event(body).event_id for _, body in row.events)
            return
        if book is None:
            if reply.outcome == "refused":
                return
            book = self._books[row.occurrence_id] = Book(row.occurrence_id, self._shared)
            self._sales[book.id] = Sales(self.world, book, self._voucher_of, self._caps)
            self._made_at[row.occurrence_id] = self.world.now
        if row.version != book.version + 1:
            raise Violation(f"{row.occurrence_id}: version {row.version} after {book.version}")
        book.version = row.version
        if request is not None and reply.outcome == "occurrence_stored":
            is_another = book.store(request)
            is_told = any(kind == "occurrence.changed.v1" for kind, _ in row.events)
            if not is_another == is_told == reply.changed:
                raise Violation(f"{row.occurrence_id}: another definition {is_another}, told {is_told}")
        events = [read_event(body) for _, body in row.events]
        for number, event in enumerate(events):
            if event.event_id != f"{row.request_id}/{number}" or event.version != row.version:
                raise Violation(f"event {event.event_id} in the row of {row.request_id}/{number}")
            book.events[event.event_id] = len(book.events)
            self._happen(book, event, request, reply, transaction, asked=row.kind)
        if row.answers is not None:
            if row.answers in self._second:
                raise Violation(f"two second answers to {row.answers}")
            self._second[row.answers] = row
        if row.outcome != "refused" or row.reason not in ("invalid", "forbidden"):
            self._sales[book.id].nobody_was_passed_over(self._most_used(transaction))
        if request is not None:
            self._answered(book, request, reply, transaction, before)
            self._sales[book.id].money_is_told(request, reply, events)
            self._in_order(request)

    def _happen(
        self,
        book: Book,
        event: Told,
        request: Request | None,
        reply: Reply,
        transaction: Transaction,
        *,
        asked: str,
    ) -> None:
        sales, most_used = self._sales[book.id], self._most_used(transaction)
        if event.type == "hold.created.v1" and sales.line:
            sales.before_hold(event, most_used)
        if event.type == "hold.priced.v1":
            sales.priced(event, self._tasks.quotes)
        if event.type.startswith("hold."):
            book.happen(event, reply.decided_at, transaction.clock)
        else:
            sales.happen(event, request, reply.decided_at, most_used, asked=asked)

    def _asked(self, row: JournalRow) -> Request | None:
        """The body that was decided; None if the service itself asked."""
        variants = self._requests.get(row.request_id)
        if variants is None:
            if row.kind != "hold.sweep.v1" and row.fingerprint not in self._sealed.get(row.request_id, ()):
                raise Violation(f"nobody asked for {row.request_id}")
            return None
        request = next((variant for variant in variants if variant.fingerprint == row.fingerprint), None)
        if request is None or request.poison:
            raise Violation(f"a body was decided that was not asked: {row.request_id}")
        return request

    def _answered(
        self, book: Book, request: Request, reply: Reply, transaction: Transaction, before: Shared
    ) -> None:
        sales = self._sales[book.id]
        if not request.sealed and not request.broken:
            raise Violation(f"{request.kind} has no seal and was {reply.outcome}")
        if reply.outcome != "refused":
            if not sales.grant(request, reply):
                book.grant(request, reply)
            if reply.outcome == "held" and book.was_sold_out:
                self.world.sometimes("sold out and back")
            if reply.outcome == "released" and reply.hold and reply.hold.expires_at - reply.decided_at < SLACK:
                self.world.sometimes("a release came just before the expiry")
        elif reply.reason == "limit_per_session":
            session = request.fields["session_id"]
            own = self._shared.sessions[session] - before.sessions[session]
            self._really_used(LimitKey("session", session), own + 1, self._session_cap, transaction)
        elif reply.reason == "sold_out" and reply.subject == "cellar":
            own = self._shared.stock["cellar"] - before.stock["cellar"]
            assert reply.requested is not None
            self._really_used(LimitKey("stock", "cellar"), own + reply.requested, self._stock_cap, transaction)
        elif reply.reason == "voucher_used_up":
            self.world.sometimes("a voucher was used up")
            self._voucher_really_used(request, before, transaction)
        elif not sales.refuse(request, reply, reply.decided_at):
            book.refuse(request, reply)
            if reply.reason == "sold_out":
                book.was_sold_out = True
            if reply.reason == "hold_final" and book.ended.get(request.fields.get("hold_id", "")) == "expired":
                self.world.sometimes("an expiry came before the owner")

    def _in_time(self, reply: Reply, transaction: Transaction) -> None:
        """Decided by the database's clock, while the batch was worked. Not asked once the clock has jumped."""
        if self.database.jumps:
            return
        began = self.database.clock_at(transaction.began_at)
        drift = SLACK + (self.database.clock() - began) * 0.02
        if not began - drift <= reply.decided_at <= self.database.clock() + drift:
            raise Violation(f"{reply.request_id} was decided at {reply.decided_at}, not by the database's clock")

    def _in_order(self, request: Request) -> None:
        """First deliveries of one client for one occurrence are decided in the order in which they were sent.

        A sweep that found nothing has left no trace; tried again, it may find something.
        """
        occurrence_id = request.occurrence_id
        if request.kind == "hold.sweep.v1":
            return
        if request.publishes != 1 or request.deliveries != 1 or occurrence_id in self.broker.rerouted:
            return
        last = self._last.get((request.client, occurrence_id))
        if last is not None and last.seq > request.seq and last.deliveries == last.publishes == 1:
            raise Violation(f"{request.correlation} was decided after {last.correlation}, which was sent later")
        self._last[request.client, occurrence_id] = request

    # --- replies ------------------------------------------------------------------------------------------------

    def replied(self, messages: Sequence[Outgoing]) -> None:
        """Judge answers at the instant at which they leave."""
        for message in messages:
            request = self._by_correlation[message.properties.correlation_id or ""]
            recording = self.database.journal.get(request.id)
            second = self._second.get(request.id)
            if second is not None and second.reply == message.body:
                continue
            if recording is not None and recording.row.reply == message.body:
                if recording.row.fingerprint != request.fingerprint:
                    raise Violation(f"{request.correlation} got the answer to another body")
                continue
            reply = read_reply(message.body)
            if reply.request_id not in (request.id, ""):
                raise Violation(
                    f"{request.correlation} was told {reply.reason or reply.outcome} beside its answers"
                )
            if reply.reason == "request_conflict":
                if recording is None or recording.row.fingerprint == request.fingerprint:
                    raise Violation(f"{request.correlation}: a conflict with nothing")
            elif request.poison:
                if reply.reason not in ("invalid", "unavailable"):
                    raise Violation(f"{request.correlation} is poison and was answered {reply.outcome}")
            elif not self._leaves_no_trace(request, reply):
                raise Violation(f"REPLY WITHOUT COMMIT: {request.correlation} {reply.outcome} {reply.reason}")

    def _leaves_no_trace(self, request: Request, reply: Reply) -> bool:
        if request.kind == "hold.sweep.v1":
            return reply.expired == 0
        if not request.is_read:
            return False
        if not request.sealed:
            self.world.sometimes("somebody asked what is the house's business")
            return reply.reason == "forbidden"
        book = self._books.get(request.occurrence_id)
        if reply.outcome == "availability":
            if book is None or reply.version > book.version:
                raise Violation(f"{request.correlation} saw version {reply.version}, which is not committed")
            return True
        if reply.outcome == "booking":
            if book is None or reply.version > book.version:
                raise Violation(f"{request.correlation} saw version {reply.version}, which is not committed")
            return True
        return reply.reason in ("unknown_occurrence", "booking_not_found")

    def heard(self, message: Outgoing) -> Request:
        """An answer reached its client; the same request always hears the same."""
        request = self._by_correlation[message.properties.correlation_id or ""]
        self.world.note("hears", request.client, request.correlation, message.properties.type)
        second = self._second.get(request.id)
        if second is not None and second.reply == message.body:
            if request.second is not None:
                self.world.sometimes("a second answer was given again")
            return request
        if request.answer not in (None, message.body) and request.id in self.database.journal:
            recorded = self.database.journal[request.id].row
            if recorded.fingerprint == request.fingerprint and request.kind != "hold.sweep.v1":
                raise Violation(f"{request.correlation} heard two answers")
        return request

    # --- events -------------------------------------------------------------------------------------------------

    def told(self, message: Outgoing) -> None:
        """Judge an event as a consumer does that drops what it has seen."""
        event = read_event(message.body)
        if event.event_id in self._loose:
            return
        book = self._books.get(event.occurrence_id)
        place = book.events.get(event.event_id) if book is not None else None
        if book is None or place is None:
            raise Violation(f"event {event.event_id} of nothing that was committed")
        if place > book.told:
            raise Violation(f"event {event.event_id} of {book.id} came before {place - book.told} others")
        if place < book.told:
            self.world.sometimes("an event was told twice")
        book.told = max(book.told, place + 1)

    # --- the end ------------------------------------------------------------------------------------------------

    @property
    def nothing_is_overdue(self) -> bool:
        """Whether no hold has outlived its time."""
        over = self.database.clock() - OVERDUE
        return not any(
            hold.state == "active" and hold.expires_at < over
            for live in self.database.live.values()
            for hold in live.values()
        )

    def finish(self) -> None:
        """Judge what is left when everything has come to rest."""
        for request_id, variants in self._requests.items():
            poison = any(variant.poison for variant in variants)
            decided = request_id in self.database.journal
            if request_id in self.broker.dead and not poison:
                raise Violation(f"{request_id} is a dead letter and is sound")
            if any(variant.confirmed and not variant.is_read for variant in variants):
                if poison:
                    self._isolated(request_id, variants[0])
                elif not decided and variants[0].kind != "hold.sweep.v1":
                    raise Violation(f"LOST: {request_id} was accepted and has no outcome")
        if self._sealed.keys() & self.broker.dead.keys():
            raise Violation("what the house asked itself is a dead letter")
        for book in self._books.values():
            if book.told != len(book.events):
                raise Violation(f"{book.id}: {len(book.events) - book.told} events were never told")
        if not self.nothing_is_overdue:
            raise Violation(f"a hold has outlived its time by more than {OVERDUE}")
        if self.database.options.sells:
            judge(self.world, self.database, self._tasks, self._shop, self._sales.values())
        self.world.note("at rest", self.world.now // SECOND, len(self.database.journal))

    def _isolated(self, request_id: str, request: Request) -> None:
        if request_id not in self.broker.dead:
            raise Violation(f"LOST: {request_id} is {request.poison} and is no dead letter")
        self.world.sometimes(f"poison isolated: {request.poison}")
