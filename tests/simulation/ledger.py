"""What the judge keeps: the books of all occurrences, how much of each limit was used when, and that the rows agree."""

from __future__ import annotations

from holdgate_workers.app.gate.effects import JournalRow
from holdgate_workers.domain.decision import LimitKey

from .broker import Broker
from .database import Database
from .model import Book, Shared
from .requests import Request
from .sales import MostUsed, Sales
from .shop import Shop
from .task_tables import TaskTables
from .transaction import Transaction
from .world import Violation, World


class Ledger:
    """The numbers."""

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
        self._sales: dict[str, Sales] = {}
        self._sealed: dict[str, set[bytes]] = {}
        """What the house's own workers have asked: request id -> fingerprints of bodies that had a true seal."""
        self._second: dict[str, JournalRow] = {}
        """Request id -> the decision that was its second answer."""
        self._loose: set[str] = set()
        """Events of occurrences that there were not."""
        self._caps = {"session": self._session_cap, "stock": self._stock_cap}

    def look_behind(self, tasks: TaskTables, shop: Shop) -> None:
        """Where the prices are, and the orders."""
        self._tasks, self._shop = tasks, shop

    def asked(self, request_id: str) -> Request:
        """The first that was asked under an id."""
        return self._requests[request_id][0]

    def _most_used(self, transaction: Transaction) -> MostUsed:
        """The most that was used of a limit since the batch began, what this commit has taken included."""

        def most(limit: LimitKey) -> int:
            shared = self._shared.sessions if limit.scope == "session" else self._shared.stock
            used = shared[limit.key]
            for moment, was in reversed(self._history.get(limit, [])):
                used = max(used, was)
                if moment <= transaction.began_at:
                    break
            return used

        return most

    def _voucher_really_used(self, request: Request, before: Shared, transaction: Transaction) -> None:
        code = self._voucher_of(request.fields["quote_hash"])
        assert code is not None
        own = self._shared.vouchers[code] - before.vouchers[code]
        self._really_used(LimitKey("voucher", code), own + 1, self.database.options.voucher_uses, transaction)

    def _voucher_of(self, quote_hash: str) -> str | None:
        return self._tasks.quotes[quote_hash].voucher

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

    def _rows_agree(self, transaction: Transaction) -> None:
        """Rows and journal tell the same story, to the last seat."""
        database = self.database
        for occurrence_id in {**transaction.heads, **{key: None for key, _ in transaction.pools}}:
            book = self._books.get(occurrence_id)
            if book is None or database.heads[occurrence_id].version != book.version:
                raise Violation(f"{occurrence_id}: the row's version is not the journal's")
            for key, pool in database.pools[occurrence_id].items():
                oversold = pool.sellable is not None and pool.held + pool.sold > pool.sellable
                if (pool.held, pool.sold) != (book.taken[key], book.sold_seats[key]) or oversold:
                    raise Violation(
                        f"{occurrence_id}/{key}: held {pool.held}, by the journal {book.taken[key]}; "
                        f"sold {pool.sold}, by the journal {book.sold_seats[key]}"
                    )
            if database.live.get(occurrence_id, {}).keys() != book.live.keys():
                raise Violation(f"{occurrence_id}: the live holds are not the journal's")
            if database.lines.get(occurrence_id, {}).keys() != self._sales[occurrence_id].line.keys():
                raise Violation(f"{occurrence_id}: who stands in line is not the journal's")
        for booking in transaction.bookings.values():
            told = self._sales[booking.occurrence_id].bookings[booking.id]
            if (told.state, told.hold_id) != (booking.state, booking.hold_id):
                raise Violation(f"booking {booking.id} is {booking.state}, by the journal {told.state}")
        for limit in transaction.limits:
            if limit.scope == "voucher":
                uses = self.database.options.voucher_uses
                self._limit_agrees("voucher", limit.key, self._shared.vouchers[limit.key], uses)
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
