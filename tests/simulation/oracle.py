"""The judge: looks at every commit, every reply, every event, and at what is left in the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from holdgate_workers.app.effects import JournalRow
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.domain.decision import LimitKey

from .broker import Broker, Message
from .database import Database
from .model import Book, Shared
from .requests import Request
from .transaction import Transaction
from .wire import Reply, read_event, read_reply
from .world import SECOND, Violation, World

SLACK = timedelta(milliseconds=150)
"""By how much a process's idea of the time may be off between two looks, at the paces that the simulation gives it."""
OVERDUE = timedelta(seconds=3)


class Oracle:
    """Knows every request, keeps a book of every occurrence, and raises `Violation`."""

    def __init__(self, world: World, database: Database, broker: Broker) -> None:
        self.world = world
        self.database = database
        self.broker = broker
        self._session_cap = database.options.session_cap
        self._stock_cap = database.options.stock_cap
        self._requests: dict[str, list[Request]] = {}
        self._by_correlation: dict[str, Request] = {}
        self._shared = Shared()
        self._books: dict[str, Book] = {}
        self._made_at: dict[str, int] = {}
        self._history: dict[LimitKey, list[tuple[int, int]]] = {}
        self._last: dict[tuple[int, str], Request] = {}
        database.on_commit = self.committed
        broker.on_delivered = self.delivered
        broker.on_settled = self.settled
        broker.on_event = self.told

    def know(self, request: Request) -> None:
        """A client is about to ask."""
        if request.correlation not in self._by_correlation:
            self._by_correlation[request.correlation] = request
            self._requests.setdefault(request.id, []).append(request)

    def delivered(self, message: Message) -> None:
        """A request was handed to a consumer."""
        request = self._by_correlation.get(message.properties.correlation_id or "")
        if request is not None:
            request.deliveries += 1

    def settled(self, message: Message) -> None:
        """The broker was told to forget a request: what became of it must be durable by now."""
        request = self._by_correlation.get(message.properties.correlation_id or "")
        if request is None or request.is_read or request.kind == "hold.sweep.v1":
            return
        if request.id not in self.database.journal and request.id not in self.broker.dead:
            raise Violation(f"LOST: {request.correlation} was acknowledged and is not decided")

    # --- commits ------------------------------------------------------------------------------------------------

    def committed(self, transaction: Transaction) -> None:
        """Judge a commit at the instant at which it becomes true."""
        rows = [recording.row for recording in transaction.journal]
        self.world.note(
            "commit", transaction.xid, [(row.kind, row.outcome, row.reason, row.request_id) for row in rows]
        )
        before = Shared(self._shared.sessions.copy(), self._shared.stock.copy())
        for row in rows:
            self._row(row, transaction, before)
        self._rows_agree(transaction)

    def _row(self, row: JournalRow, transaction: Transaction, before: Shared) -> None:
        reply = read_reply(row.reply)
        self._in_time(reply, transaction)
        request = self._asked(row)
        book = self._books.get(row.occurrence_id)
        if reply.reason == "unknown_occurrence":
            made_at = self._made_at.get(row.occurrence_id)
            if made_at is not None and made_at < transaction.began_at:
                raise Violation(f"{row.occurrence_id} was there and was not found")
            return
        if book is None:
            if reply.outcome == "refused":
                return
            book = self._books[row.occurrence_id] = Book(row.occurrence_id, self._shared)
            self._made_at[row.occurrence_id] = self.world.now
        if row.version != book.version + 1:
            raise Violation(f"{row.occurrence_id}: version {row.version} after {book.version}")
        book.version = row.version
        for number, (_, body) in enumerate(row.events):
            event = read_event(body)
            if event.event_id != f"{row.request_id}/{number}" or event.version != row.version:
                raise Violation(f"event {event.event_id} in the row of {row.request_id}/{number}")
            book.events[event.event_id] = len(book.events)
            book.happen(event, reply.decided_at, transaction.clock)
        if request is not None:
            self._answered(book, request, reply, transaction, before)
            self._in_order(request)

    def _asked(self, row: JournalRow) -> Request | None:
        """The body that was decided; None if the service itself asked."""
        variants = self._requests.get(row.request_id)
        if variants is None:
            if row.kind != "hold.sweep.v1":
                raise Violation(f"nobody asked for {row.request_id}")
            return None
        request = next((variant for variant in variants if variant.fingerprint == row.fingerprint), None)
        if request is None or request.poison:
            raise Violation(f"a body was decided that was not asked: {row.request_id}")
        return request

    def _answered(
        self, book: Book, request: Request, reply: Reply, transaction: Transaction, before: Shared
    ) -> None:
        if reply.outcome != "refused":
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
        else:
            book.refuse(request, reply)
            if reply.reason == "sold_out":
                book.was_sold_out = True
            if reply.reason == "hold_final" and book.ended.get(request.fields["hold_id"]) == "expired":
                self.world.sometimes("an expiry came before the owner")

    def _really_used(self, limit: LimitKey, wanted: int, cap: int, transaction: Transaction) -> None:
        """A refusal rests on a number read after its batch began: at some time since it must have been so."""
        history = self._history.get(limit, [])
        most = 0
        for moment, used in reversed(history):
            most = max(most, used)
            if moment <= transaction.began_at:
                break
        if most + wanted <= cap:
            raise Violation(f"FALSE refusal by {limit.scope} {limit.key}: at most {most} of {cap} were used")

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

    def _rows_agree(self, transaction: Transaction) -> None:
        """Rows and journal tell the same story, to the last seat."""
        database = self.database
        for occurrence_id in {**transaction.heads, **{key: None for key, _ in transaction.pools}}:
            book = self._books.get(occurrence_id)
            if book is None or database.heads[occurrence_id].version != book.version:
                raise Violation(f"{occurrence_id}: the row's version is not the journal's")
            for key, pool in database.pools[occurrence_id].items():
                oversold = pool.sellable is not None and pool.held + pool.sold > pool.sellable
                if pool.held != book.taken[key] or oversold:
                    raise Violation(f"{occurrence_id}/{key}: held {pool.held}, by the journal {book.taken[key]}")
            if database.live.get(occurrence_id, {}).keys() != book.live.keys():
                raise Violation(f"{occurrence_id}: the live holds are not the journal's")
        for hold in transaction.holds.values():
            held = self._books[hold.occurrence_id].live.get(hold.id)
            if held is not None and (held.seen.items, held.seen.expires_at) != (hold.items, hold.expires_at):
                raise Violation(f"hold {hold.id}: the row is not what the journal says")
            self._limit_agrees(
                "session", hold.session_id, self._shared.sessions[hold.session_id], self._session_cap
            )
            self._limit_agrees("stock", "cellar", self._shared.stock["cellar"], self._stock_cap)

    def _limit_agrees(self, scope: str, key: str, used: int, cap: int) -> None:
        limit = LimitKey(scope, key)
        counted = self.database.limits.get(limit, (0, 0))[0]
        if counted != used or used > cap:
            raise Violation(f"{scope} {key}: {counted} counted, {used} in holds, {cap} allowed")
        history = self._history.setdefault(limit, [])
        if not history or history[-1][1] != used:
            history.append((self.world.now, used))

    # --- replies ------------------------------------------------------------------------------------------------

    def replied(self, messages: Sequence[Outgoing]) -> None:
        """Judge answers at the instant at which they leave."""
        for message in messages:
            request = self._by_correlation[message.properties.correlation_id or ""]
            recording = self.database.journal.get(request.id)
            if recording is not None and recording.row.reply == message.body:
                if recording.row.fingerprint != request.fingerprint:
                    raise Violation(f"{request.correlation} got the answer to another body")
                continue
            reply = read_reply(message.body)
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
        book = self._books.get(request.occurrence_id)
        if reply.outcome == "availability":
            if book is None or reply.version > book.version:
                raise Violation(f"{request.correlation} saw version {reply.version}, which is not committed")
            return True
        return reply.reason == "unknown_occurrence"

    def heard(self, message: Outgoing) -> Request:
        """An answer reached its client; the same request always hears the same."""
        request = self._by_correlation[message.properties.correlation_id or ""]
        self.world.note("hears", request.client, request.correlation, message.properties.type)
        if request.answer not in (None, message.body) and request.id in self.database.journal:
            recorded = self.database.journal[request.id].row
            if recorded.fingerprint == request.fingerprint and request.kind != "hold.sweep.v1":
                raise Violation(f"{request.correlation} heard two answers")
        return request

    # --- events -------------------------------------------------------------------------------------------------

    def told(self, message: Outgoing) -> None:
        """Judge an event as a consumer does that drops what it has seen."""
        event = read_event(message.body)
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
        return not any(hold.expires_at < over for live in self.database.live.values() for hold in live.values())

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
        for book in self._books.values():
            if book.told != len(book.events):
                raise Violation(f"{book.id}: {len(book.events) - book.told} events were never told")
        if not self.nothing_is_overdue:
            raise Violation(f"a hold has outlived its time by more than {OVERDUE}")
        self.world.note("at rest", self.world.now // SECOND, len(self.database.journal))

    def _isolated(self, request_id: str, request: Request) -> None:
        if request_id not in self.broker.dead:
            raise Violation(f"LOST: {request_id} is {request.poison} and is no dead letter")
        self.world.sometimes(f"poison isolated: {request.poison}")
