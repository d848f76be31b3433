"""The rows, added up again after every commit. No model of what should happen, only sums and moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tests.checker.decoding import Change, Row, Transaction
from tests.checker.faults import Faults
from tests.checker.instants import micros
from tests.checker.jsonl import loads
from tests.checker.recording import Limits
from tests.checker.verdict import Report

_HOLDS_SEATS = {"active": "held", "converting": "held", "confirmed": "sold"}
_USES_STOCK = ("active", "converting", "confirmed")
_USES_VOUCHER = ("converting", "confirmed")
_EDGES = {
    None: {"active", "released", "expired", "converting"},
    "active": {"active", "released", "expired", "converting"},
    "converting": {"converting", "confirmed", "released"},
    "confirmed": {"confirmed", "cancelled"},
}
_MOVED_BY = ("held", "changed", "extended", "released")
_NEVER_CHANGES = ("occurrence_id", "session_id", "created_at", "user_id")


class HoldRow:
    """A hold as its row says."""

    __slots__ = ("basket", "basket_text", "expires", "kept", "state", "voucher")

    def __init__(self) -> None:
        self.state: str | None = None
        self.basket: dict[str, Any] = {}
        self.basket_text: str | None = ""
        self.expires = 0
        self.kept: tuple[str | None, ...] = ()
        self.voucher: str | None = None


class PoolRow:
    """A pool as its row says, and what the hold rows say that it should say."""

    __slots__ = ("held", "row", "sold")

    def __init__(self) -> None:
        self.row: Row | None = None
        self.held = self.sold = 0


class Books:
    """Fold the transactions in commit order."""

    def __init__(self, report: Report, limits: Limits, faults: Faults) -> None:
        self.report, self.limits, self.faults = report, limits, faults
        self.holds: dict[str, HoldRow] = {}
        self.ended: dict[str, str] = {}
        self.pools: dict[tuple[str, str], PoolRow] = defaultdict(PoolRow)
        self.used: dict[tuple[str, str], int] = defaultdict(int)
        """Shared limits, counted over the hold rows."""
        self.limit_rows: dict[tuple[str, str], tuple[int, int]] = {}
        self.prices: dict[str, str] = {}
        """What holds cost, as their rows last said."""
        self.versions: dict[str, int] = {}
        self.version_by: dict[str, int] = {}
        """Which transaction made an occurrence's latest version."""
        self.statuses: dict[str, str] = {}
        self.last_commit = 0
        self.commits = 0
        self.touched_pools: set[tuple[str, str]] = set()
        self.touched_limits: set[tuple[str, str]] = set()
        self.touched_holds: dict[str, Row] = {}
        self.touched_occurrences: dict[str, Row] = {}

    def take(self, transaction: Transaction) -> None:
        """Everything that one transaction changed, except the journal."""
        self.commits += 1
        self.last_commit = max(self.last_commit, transaction.committed_at)
        self.touched_pools.clear()
        self.touched_limits.clear()
        self.touched_holds.clear()
        self.touched_occurrences.clear()
        for change in transaction.changes:
            table = change.table
            if table == "holds":
                self._hold(change, transaction.committed_at)
            elif table == "pools":
                self._pool(change)
            elif table == "shared_limits":
                self._limit(change)
            elif table == "occurrences":
                self._occurrence(change, transaction.xid)

    # --- rows ---------------------------------------------------------------------------------------------------

    def _occurrence(self, change: Change, xid: int) -> None:
        row = change.row
        occurrence_id = str(row["id"])
        if change.operation == "DELETE":
            self.report.flag("P9", f"occurrence {occurrence_id} was deleted by transaction {xid}")
            return
        version = int(row["version"] or 0)
        known = self.versions.get(occurrence_id)
        if known is None and change.operation == "UPDATE":
            self.report.doubt("P11", f"the stream begins after occurrence {occurrence_id} was made")
        elif known is not None and version < known:
            self.report.flag(
                "P11", f"{occurrence_id}: version falls from {known} to {version} in transaction {xid}"
            )
        self.report.count("P11")
        self.versions[occurrence_id] = version
        status = str(row["status"])
        before = self.statuses.get(occurrence_id)
        if before in ("cancelled", "completed") and status != before:
            self.report.flag("P9", f"{occurrence_id}: {before} became {status} in transaction {xid}")
        self.statuses[occurrence_id] = status
        self.touched_occurrences[occurrence_id] = row

    def _pool(self, change: Change) -> None:
        key = (str(change.row["occurrence_id"]), str(change.row["key"]))
        self.touched_pools.add(key)
        self.pools[key].row = None if change.operation == "DELETE" else change.row

    def _limit(self, change: Change) -> None:
        row = change.row
        key = (str(row["scope"]), str(row["key"]))
        self.touched_limits.add(key)
        if change.operation == "DELETE":
            self.limit_rows.pop(key, None)
        else:
            self.limit_rows[key] = (int(row["used"] or 0), int(row["cap"] or 0))

    def _hold(self, change: Change, committed_at: int) -> None:
        row = change.row
        hold_id = str(row["id"])
        if change.operation == "DELETE":
            self.report.flag("P9", f"hold {hold_id} was deleted")
            return
        ended = self.ended.get(hold_id)
        known = self.holds.get(hold_id)
        state = str(row["state"])
        if change.operation == "INSERT" and (known or ended):
            self.report.flag("P3", f"hold {hold_id} is made a second time")
        if ended is not None:
            self.report.flag("P9", f"hold {hold_id}: {ended} became {state}")
        elif state not in _EDGES.get(None if known is None else known.state, set()):
            self.report.flag("P9", f"hold {hold_id}: {known.state if known else 'nothing'} became {state}")
        self.report.count("P9")
        kept = tuple(row.get(name) for name in _NEVER_CHANGES)
        if known is None:
            known = HoldRow()
            known.kept = kept
        elif kept != known.kept:
            self.report.flag("P9", f"hold {hold_id}: {known.kept} became {kept}")
        if state == "expired" and ended is None:
            self._expired(hold_id, micros(str(row["expires_at"])), row, committed_at)
        self._add(known, row, -1)
        known.state = state
        if row.get("basket") != known.basket_text and "basket" in row:
            known.basket_text = row["basket"]
            known.basket = basket_of(str(row["basket"]))
        known.expires = micros(str(row["expires_at"]))
        price = row.get("quote")
        if price is not None:
            self.prices[hold_id] = price
        known.voucher = None if price is None else loads(price).get("voucher")
        self._add(known, row, 1)
        self.touched_holds[hold_id] = row
        if state in ("released", "expired", "cancelled"):
            self.holds.pop(hold_id, None)
            self.ended[hold_id] = state
        else:
            self.holds[hold_id] = known

    def _add(self, hold: HoldRow, row: Row, sign: int) -> None:
        """What a hold counts for, in its pools and limits."""
        occurrence_id = str(row["occurrence_id"])
        counts_as = _HOLDS_SEATS.get(hold.state or "")
        for pool, number in hold.basket.get("draws", {}).items():
            key = (occurrence_id, pool)
            self.touched_pools.add(key)
            if counts_as == "held":
                self.pools[key].held += sign * number
            elif counts_as == "sold":
                self.pools[key].sold += sign * number
        if hold.state in ("active", "converting"):
            session = ("session", str(row["session_id"]))
            self.touched_limits.add(session)
            self.used[session] += sign
        if hold.voucher is not None and hold.state in _USES_VOUCHER:
            self.touched_limits.add(("voucher", hold.voucher))
            self.used["voucher", hold.voucher] += sign
        if hold.state in _USES_STOCK:
            for stock, number in (hold.basket.get("stock") or {}).items():
                self.touched_limits.add(("stock", stock))
                self.used["stock", stock] += sign * number

    def _expired(self, hold_id: str, expires: int, row: Row, committed_at: int) -> None:
        self.report.count("P8")
        if committed_at + self.limits.skew < expires:
            early = (expires - committed_at) / 1e6
            self.report.flag("P8", f"hold {hold_id} expired {early:.6f} s before its time")
        ended_at = row.get("ended_at")
        if ended_at is not None and micros(ended_at) < expires:
            self.report.flag("P8", f"hold {hold_id} ended at {ended_at}, before its time {row['expires_at']}")
        self._late(hold_id, expires, committed_at, "expired")

    def _late(self, hold_id: str, expires: int, seen: int, what: str) -> None:
        late = seen - expires
        if late > self.limits.expiry_late and late - self.faults.overlap(expires, seen) > self.limits.expiry_late:
            self.report.flag("P8", f"hold {hold_id} is {what} {late / 1e6:.3f} s after its time")

    def close(self, ended_at: int | None) -> None:
        """At the end: what should have expired by then has."""
        seen = self.last_commit if ended_at is None else ended_at
        for hold_id, hold in self.holds.items():
            if hold.state == "active" and hold.expires < seen:
                self._late(hold_id, hold.expires, seen, "still active")

    # --- sums ---------------------------------------------------------------------------------------------------

    def check(self, xid: int) -> None:
        """P1 and P10 for what a transaction touched."""
        self.report.count("P1", len(self.touched_pools))
        self.report.count("P10", len(self.touched_pools) + len(self.touched_limits))
        for key in self.touched_pools:
            pool = self.pools[key]
            if pool.row is None:
                if pool.held or pool.sold:
                    self.report.flag("P10", f"{'/'.join(key)} is gone, though seats of it are taken, at {xid}")
                continue
            self._pool_sums("/".join(key), pool, pool.row, xid)
        for limit in self.touched_limits:
            used, cap = self.limit_rows.get(limit, (0, 0))
            if used != self.used[limit]:
                name = "/".join(limit)
                self.report.flag("P10", f"limit {name}: {used} in its row, {self.used[limit]} in holds, at {xid}")
            if used > cap and limit in self.limit_rows:
                self.report.flag("P1", f"limit {'/'.join(limit)}: {used} of {cap} at {xid}")
            if not self.used[limit]:
                del self.used[limit]

    def _pool_sums(self, name: str, pool: PoolRow, row: Row, xid: int) -> None:
        held, sold = int(row["held"] or 0), int(row["sold"] or 0)
        if (held, sold) != (pool.held, pool.sold):
            counted = f"held {held} and sold {sold} in the counter, {pool.held} and {pool.sold} in holds"
            self.report.flag("P10", f"{name}: {counted}, at transaction {xid}")
        if held < 0 or sold < 0:
            self.report.flag("P1", f"{name}: held {held}, sold {sold} at transaction {xid}")
        taken = max(held + sold, pool.held + pool.sold)
        sellable = row["sellable"]
        if sellable is not None and taken > int(sellable):
            self.report.flag("P1", f"{name}: OVERSOLD at transaction {xid}: {taken} of {sellable}")
        target = target_of(row)
        meant = None if target is None else max(target, held + sold)
        if meant != (None if sellable is None else int(sellable)):
            self.report.flag(
                "P1", f"{name}: sellable is {sellable}, by its definition {meant}, at transaction {xid}"
            )

    # --- the journal --------------------------------------------------------------------------------------------

    def versioned(self, occurrence_id: str, version: int, known: int, xid: int) -> int:
        """P11 for one decision; the version that is reached."""
        self.report.count("P11")
        if version != known + 1:
            same = version == known and self.version_by.get(occurrence_id) not in (None, xid)
            why = f"made by transaction {self.version_by.get(occurrence_id)} before" if same else f"after {known}"
            self.report.flag("P11", f"{occurrence_id}: transaction {xid} makes version {version}, {why}")
        self.version_by[occurrence_id] = xid
        return version

    def explained(self, xid: int, rows: Iterable[Row], told: set[str], perhaps: set[str]) -> None:
        """P3: every hold that changed was changed by a request of the same transaction, and the other way round.

        `told`: holds of which events say that they were changed; those of `perhaps` may have been.
        """
        moved = {str(row["hold_id"]) for row in rows if row["outcome"] in _MOVED_BY} | told
        self.report.count("P3", len(moved))
        for hold_id in self.touched_holds.keys() - moved - perhaps:
            self.report.flag("P3", f"hold {hold_id} changed in transaction {xid} by no request of it")
        for hold_id in moved - self.touched_holds.keys():
            self.report.flag("P3", f"hold {hold_id}: a move was recorded in transaction {xid}, its row stayed")
        occurrences = {row["occurrence_id"] for row in rows}
        for key in self.touched_pools:
            if key[0] not in occurrences:
                self.report.flag("P3", f"pool {'/'.join(key)} changed in transaction {xid} by no request of it")


@lru_cache(maxsize=100_000)
def basket_of(text: str) -> dict[str, Any]:
    """A basket; the same ones come again and again. Not to be changed."""
    basket: dict[str, Any] = loads(text)
    return basket


def target_of(row: Row) -> int | None:
    """What may be sold of a pool by its definition."""
    if row["capacity"] is None:
        return None
    more = int(row["capacity"]) * (100 + int(row["overbooking_percent"] or 0)) // 100
    return max(0, more - int(row["buffer"] or 0))
