"""The catalogue side: an occurrence is put, closed, or given another capacity. What is taken stays taken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta

from msgspec.structs import replace

from holdgate_schema.answers.holds import OccurrenceStored
from holdgate_schema.commands.holds import (
    AlertOverrides,
    CloseOccurrence,
    HoldOverrides,
    PoolDefinition,
    PutOccurrence,
    SetCapacity,
)
from holdgate_schema.errors import FieldError, ProblemCode
from holdgate_schema.events.holds import CapacityDeficit, OccurrenceChanged
from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.domain.decision import Context, Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.interning import shared_extras, shared_ticket_types
from holdgate_workers.domain.refusals import Refusal

from .occurrence import Definition, Occurrence, Pool
from .wall_time import instant_of, zone_exists

FINAL = ("cancelled", "completed")
YEAR_MIN, YEAR_MAX = 1970, 2999


def put(draft: Draft, occurrence: Occurrence | None, command: PutOccurrence) -> Decision:
    """Create the occurrence or replace its definition; counters of what is held and sold are kept."""
    errors = _definition_errors(command) + draft.context.settings.alert_errors(command.alerts)
    errors = errors or _conflicts(command, occurrence, draft.context)
    if errors:
        return Refusal(draft).invalid(errors)
    definition, pools = defined(command, occurrence)
    return _store(draft, occurrence, definition, pools)


def defined(command: PutOccurrence, occurrence: Occurrence | None) -> tuple[Definition, dict[str, Pool]]:
    """What the command makes of the occurrence, if it is valid."""
    return _definition(command), _pools(command, occurrence)


def pools_in_use(command: PutOccurrence, pools: Mapping[str, Pool]) -> list[FieldError]:
    """The pools that the command leaves out although something is held or sold of them."""
    kept = {TOTAL_POOL, *(pool.key for pool in command.pools)}
    return [
        FieldError("pools", f"{pool.key!r} cannot be left out: {pool.held} are held and {pool.sold} sold")
        for pool in pools.values()
        if pool.key not in kept and pool.held + pool.sold
    ]


def close(draft: Draft, occurrence: Occurrence, command: CloseOccurrence) -> Decision:
    """Take the occurrence off sale. Holds on it live on until they end by themselves."""
    before = occurrence.definition
    if before.status in FINAL and before.status != command.status:
        return Refusal(draft).invalid([FieldError("status", f"is {before.status} already, which is final")])
    definition = replace(before, status=command.status)
    return _store(draft, occurrence, definition, occurrence.pools)


def set_capacity(draft: Draft, occurrence: Occurrence, command: SetCapacity) -> Decision:
    """Give one pool another capacity. Below what is taken it is allowed, told, and grants nothing new."""
    pool = occurrence.pools.get(command.pool)
    if pool is None:
        known = ", ".join(sorted(occurrence.pools))
        return Refusal(draft).invalid(
            [FieldError("pool", f"is unknown; the occurrence has: {known}", ProblemCode.UNKNOWN_NAME)]
        )
    if command.capacity is None and command.pool == TOTAL_POOL:
        return Refusal(draft).invalid(
            [FieldError("capacity", "of the pool 'total' cannot be unlimited", ProblemCode.NOT_ALLOWED)]
        )
    pools = dict(occurrence.pools)
    pools[pool.key] = pool.redefined(command.capacity, pool.overbooking_percent, pool.buffer)
    return _store(draft, occurrence, occurrence.definition, pools)


def _store(
    draft: Draft, occurrence: Occurrence | None, definition: Definition, pools: dict[str, Pool]
) -> Decision:
    """Store what is different. What is stored already is answered as unchanged, and is no news to anybody."""
    version = 1 if occurrence is None else draft.version
    now = draft.context.now
    deficit = {
        pool.key: pool.held + pool.sold - pool.target
        for pool in pools.values()
        if pool.target is not None and pool.held + pool.sold > pool.target
    }
    changed = (
        occurrence is None
        or not _is_same(definition, occurrence.definition)
        or _numbers(pools) != _numbers(occurrence.pools)
    )
    if changed:
        _tell(draft, definition, pools, deficit, version=version, created=occurrence is None)
    answer = OccurrenceStored(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=version,
        decided_at=now,
        created=occurrence is None,
        changed=changed,
        status=definition.status,
        sellable={key: pool.sellable for key, pool in pools.items()},
        deficit=deficit,
    )
    if not changed:
        return draft.decided(answer)
    return draft.decided(answer, definition=definition, pools=pools)


def _is_same(definition: Definition, before: Definition) -> bool:
    """In another order, ticket types and extras are shown differently."""
    return (
        definition == before
        and list(definition.ticket_types) == list(before.ticket_types)
        and list(definition.extras) == list(before.extras)
    )


def _numbers(pools: Mapping[str, Pool]) -> list[tuple[str, int | None, int, int]]:
    """What operations set of each pool, in their order."""
    return [(key, pool.capacity, pool.overbooking_percent, pool.buffer) for key, pool in pools.items()]


def _tell(
    draft: Draft,
    definition: Definition,
    pools: Mapping[str, Pool],
    deficit: Mapping[str, int],
    *,
    version: int,
    created: bool,
) -> None:
    now = draft.context.now
    for key in deficit:
        pool = pools[key]
        assert pool.target is not None
        draft.events.append(
            CapacityDeficit(
                event_id=draft.event_id(),
                occurrence_id=draft.occurrence_id,
                version=version,
                occurred_at=now,
                pool=key,
                target=pool.target,
                taken=pool.held + pool.sold,
            )
        )
    draft.events.append(
        OccurrenceChanged(
            event_id=draft.event_id(),
            occurrence_id=draft.occurrence_id,
            version=version,
            occurred_at=now,
            product_id=definition.product_id,
            status=definition.status,
            starts_at=definition.starts_at,
            ends_at=definition.ends_at,
            created=created,
        )
    )


def _definition_errors(command: PutOccurrence) -> list[FieldError]:
    errors = [
        FieldError(field, f"must be in a year from {YEAR_MIN} to {YEAR_MAX}", ProblemCode.OUT_OF_RANGE)
        for field in ("starts_at", "ends_at", "sales_open", "sales_close")
        if (time := getattr(command, field)) is not None and not YEAR_MIN <= time.year <= YEAR_MAX
    ]
    if command.ends_at <= command.starts_at:
        errors.append(FieldError("ends_at", "must be after starts_at"))
    if not zone_exists(command.timezone):
        errors.append(
            FieldError("timezone", f"is not a known IANA zone: {command.timezone!r}", ProblemCode.UNKNOWN_NAME)
        )
    if command.sales_open and command.sales_close and command.sales_close <= command.sales_open:
        errors.append(FieldError("sales_close", "must be after sales_open"))
    pools = [pool.key for pool in command.pools]
    if TOTAL_POOL in pools:
        errors.append(FieldError("pools", "'total' is given by capacity, overbooking_percent and buffer"))
    for field, keys in (
        ("pools", pools),
        ("ticket_types", [ticket.key for ticket in command.ticket_types]),
        ("extras", [extra.key for extra in command.extras]),
    ):
        errors += [
            FieldError(field, f"{key!r} is given twice", ProblemCode.DUPLICATE)
            for key in sorted(set(keys))
            if keys.count(key) > 1
        ]
    errors += _unknown_pools(command, {TOTAL_POOL, *pools}) + _clashing_limits(command)
    return errors


def _unknown_pools(command: PutOccurrence, known: set[str]) -> list[FieldError]:
    users = [(f"ticket_types[{n}].pools", ticket.pools) for n, ticket in enumerate(command.ticket_types)]
    users += [(f"extras[{n}].pools", extra.pools) for n, extra in enumerate(command.extras)]
    errors = []
    for field, named in users:
        errors += [
            FieldError(field, f"{key!r} is not among the pools", ProblemCode.UNKNOWN_NAME)
            for key in named
            if key not in known
        ]
        if len(set(named)) != len(named) or (field.startswith("ticket") and TOTAL_POOL in named):
            errors.append(
                FieldError(field, "names a pool twice (tickets always draw from 'total')", ProblemCode.DUPLICATE)
            )
    return errors


def _clashing_limits(command: PutOccurrence) -> list[FieldError]:
    errors = [
        FieldError(f"ticket_types[{number}].min_per_order", f"of {ticket.key!r} must not be above max_per_order")
        for number, ticket in enumerate(command.ticket_types)
        if ticket.min_per_order > ticket.max_per_order
    ]
    caps: dict[str, int] = {}
    errors += [
        FieldError(f"extras[{number}].stock", f"of {extra.key!r} has another cap under the same key")
        for number, extra in enumerate(command.extras)
        if extra.stock and caps.setdefault(extra.stock.key, extra.stock.cap) != extra.stock.cap
    ]
    hold = command.hold
    if hold and hold.ttl_minutes and hold.lifetime_max_minutes and hold.lifetime_max_minutes < hold.ttl_minutes:
        errors.append(FieldError("hold.lifetime_max_minutes", "must be at least hold.ttl_minutes"))
    return errors


def _conflicts(command: PutOccurrence, occurrence: Occurrence | None, context: Context) -> list[FieldError]:
    start = command.product_id, command.starts_at.astimezone(UTC)
    taken_by = None if command.yields_start else context.start_taken_by.get(start)
    if taken_by is not None and taken_by != command.occurrence_id:
        return [FieldError("starts_at", f"is taken: occurrence {taken_by!r} of this product starts then")]
    if occurrence is None:
        return []
    if occurrence.definition.status in FINAL:
        return [FieldError("status", f"is {occurrence.definition.status}, which is final")]
    return _other_product(command, occurrence) + pools_in_use(command, occurrence.pools)


def _other_product(command: PutOccurrence, occurrence: Occurrence) -> list[FieldError]:
    """Buyers have paid for a date of this product, at its prices."""
    product, total = occurrence.definition.product_id, occurrence.total
    if command.product_id == product or not total.held + total.sold:
        return []
    return [FieldError("product_id", f"stays {product!r}: {total.held} are held and {total.sold} sold")]


def _definition(command: PutOccurrence) -> Definition:
    starts_at = command.starts_at.astimezone(UTC)
    closes_at = starts_at - timedelta(minutes=command.cutoff_minutes)
    if command.sales_close is not None:
        closes_at = min(closes_at, instant_of(command.sales_close, command.timezone))
    opens_at = instant_of(command.sales_open, command.timezone) if command.sales_open else None
    return Definition(
        product_id=command.product_id,
        status=command.status,
        starts_at=starts_at,
        ends_at=command.ends_at.astimezone(UTC),
        timezone=command.timezone,
        opens_at=opens_at,
        closes_at=closes_at,
        ticket_types=shared_ticket_types({ticket.key: ticket for ticket in command.ticket_types}),
        extras=shared_extras({extra.key: extra for extra in command.extras}),
        hold=None if command.hold == HoldOverrides() else command.hold,
        alerts=None if command.alerts == AlertOverrides() else command.alerts,
        yields_start=command.yields_start,
    )


def _pools(command: PutOccurrence, occurrence: Occurrence | None) -> dict[str, Pool]:
    total = PoolDefinition(
        key=TOTAL_POOL,
        capacity=command.capacity,
        overbooking_percent=command.overbooking_percent,
        buffer=command.buffer,
    )
    before = occurrence.pools if occurrence is not None else {}
    pools = {}
    for wanted in (total, *command.pools):
        pool = before.get(wanted.key) or Pool(key=wanted.key, capacity=0, sellable=0)
        pools[wanted.key] = pool.redefined(wanted.capacity, wanted.overbooking_percent, wanted.buffer)
    return pools
