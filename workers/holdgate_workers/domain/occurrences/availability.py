"""What could be held right now. The answer agrees with what a hold would get, if it came alone."""

from __future__ import annotations

from holdgate_schema.answers.holds import Availability, PoolView, TicketView
from holdgate_schema.commands.holds import GetAvailability, TicketType
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.placing import not_on_sale
from holdgate_workers.domain.settings.settings import HoldRules
from holdgate_workers.domain.waitlist.offers import serve_line

from .occurrence import Occurrence, Pool


def availability(draft: Draft, occurrence: Occurrence, command: GetAvailability) -> Decision:
    """The pools, the ticket types and the next release. Holds past their time no longer count."""
    definition = occurrence.definition
    back = _coming_back(draft, occurrence)
    pools = {key: _pool_view(pool, back.get(key, 0)) for key, pool in occurrence.pools.items()}
    why = not_on_sale(definition, draft.context.now)
    rules = draft.context.settings.for_occurrence(definition.hold)
    answer = Availability(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=occurrence.version,
        decided_at=draft.context.now,
        product_id=definition.product_id,
        status=definition.status,
        on_sale=why is None,
        not_on_sale=why,
        starts_at=definition.starts_at,
        ends_at=definition.ends_at,
        pools=pools,
        ticket_types={
            key: TicketView(
                label=ticket.label,
                min_per_order=ticket.min_per_order,
                max_per_order=ticket.max_per_order,
                available=_ticket_available(ticket, pools, rules) if why is None else 0,
            )
            for key, ticket in definition.ticket_types.items()
        },
        next_release_at=occurrence.next_release(draft.context.now),
    )
    return draft.decided(answer, recorded=False)


def _coming_back(draft: Draft, occurrence: Occurrence) -> dict[str, int]:
    """What the next walk-in finds free beyond what the counters say: what is due, less what the line gets of it."""
    if occurrence.waiting:
        trial = Draft(draft.request_id, draft.occurrence_id, occurrence, draft.context)
        serve_line(trial, occurrence)
        draft.unsure += trial.unsure
        return {pool: -taken for pool, taken in trial.held.items()}
    back: dict[str, int] = {}
    for hold in occurrence.due(draft.context.now):
        for pool, taken in hold.draws.items():
            back[pool] = back.get(pool, 0) + taken
    return back


def _pool_view(pool: Pool, back: int) -> PoolView:
    """The counter as it will be when so many seats have come back."""
    held = pool.held - back
    target = pool.target
    return PoolView(
        capacity=pool.capacity,
        sellable=None if target is None else max(target, held + pool.sold),
        held=held,
        sold=pool.sold,
        available=pool.available(-back),
    )


def _ticket_available(ticket: TicketType, pools: dict[str, PoolView], rules: HoldRules) -> int:
    bounds = [ticket.max_per_order, rules.max_seats_per_request, rules.max_seats_per_hold]
    bounds += [available for key in ("total", *ticket.pools) if (available := pools[key].available) is not None]
    most = min(bounds)
    return most if most >= ticket.min_per_order else 0
