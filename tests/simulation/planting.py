"""The table of planted bugs: where each one shows, and within how many seeds it must be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import mutants, selling_mutants


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, the kind of world in which it shows, and within how many seeds it must."""

    plant: Callable[[mutants.Plant], None]
    profile: str
    seeds: int

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plant.__name__


MUTANTS: tuple[Mutant, ...] = (
    Mutant(mutants.no_version_check, "two-writers", 100),
    Mutant(mutants.version_read_unlocked, "two-writers", 100),
    Mutant(mutants.memory_kept_after_abort, "swarm", 100),
    Mutant(mutants.memory_shared_by_two_workers, "two-writers", 100),
    Mutant(mutants.reply_before_commit, "swarm", 50),
    Mutant(mutants.ack_before_commit, "swarm", 50),
    Mutant(mutants.dedupe_off, "swarm", 50),
    Mutant(mutants.fingerprint_ignored, "swarm", 50),
    Mutant(mutants.leaving_by_cancel_first, "handover", 100),
    Mutant(mutants.worked_while_leaving, "handover", 200),
    Mutant(mutants.leave_by_partition_number, "outages", 200),
    Mutant(mutants.void_leave_believed_in, "outages", 200),
    Mutant(mutants.worker_clock_for_expiry, "swarm", 50),
    Mutant(mutants.expiry_not_checked_at_the_commit, "clocks", 400),
    Mutant(mutants.due_holds_still_counted, "calm", 50),
    Mutant(mutants.pool_summed_per_line, "calm", 50),
    Mutant(mutants.session_limit_unlocked, "shared", 100),
    Mutant(mutants.claims_outside_the_transaction, "shared", 50),
    Mutant(mutants.late_commit_skipped, "shared", 200),
    Mutant(mutants.cursor_advanced_before_confirm, "swarm", 100),
    Mutant(selling_mutants.converting_hold_expirable, "selling", 100),
    Mutant(selling_mutants.late_conversion_not_refused, "selling", 100),
    Mutant(selling_mutants.quote_not_honoured, "selling", 100),
    Mutant(selling_mutants.price_of_another_basket, "selling", 300),
    Mutant(selling_mutants.compensation_run_twice, "selling", 100),
    Mutant(selling_mutants.voucher_not_given_back, "selling", 400),
    Mutant(selling_mutants.order_event_out_of_order, "selling", 300),
    Mutant(selling_mutants.full_refund_forgotten, "selling", 300),
    Mutant(selling_mutants.partial_refund_forgotten, "selling", 300),
    Mutant(selling_mutants.refused_money_not_told, "selling", 100),
    Mutant(selling_mutants.order_retried_without_search, "selling", 300),
    Mutant(selling_mutants.call_not_written_down_first, "selling", 200),
    Mutant(selling_mutants.second_answer_to_a_loser, "selling", 200),
    Mutant(selling_mutants.loser_answered_when_repeated, "selling", 200),
    Mutant(selling_mutants.seal_unchecked, "selling", 100),
    Mutant(selling_mutants.offer_without_holding, "lines", 100),
    Mutant(selling_mutants.last_come_first_served, "lines", 200),
    Mutant(selling_mutants.line_forgotten_when_seats_free, "lines", 100),
    Mutant(selling_mutants.cart_not_released_after_a_crash, "lines", 200),
    Mutant(selling_mutants.tasks_cursor_moved_first, "selling", 300),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is in the code for as long as this lasts."""
    undo: list[tuple[Any, str, Any]] = []

    def plant(owner: Any, name: str, value: Any) -> None:
        undo.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, value)

    try:
        mutant.plant(plant)
        yield
    finally:
        for owner, name, value in reversed(undo):
            if value is None:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
