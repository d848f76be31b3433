"""What the shop's answers come to. Pure."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from holdgate_workers.app.circuit_breaker import BackOff, within

from .facts import Call, Cancel, Create, Find, Refund, Result, Run, Saga, booked, new_verdict
from .orders import Cancelled, Created, Found, NotFound, Refunded, Refused, ShopOrder, Unavailable, Unknown

AGAIN = BackOff(first_seconds=1.0, max_seconds=60.0)


class After(Struct, frozen=True, gc=False):
    """What is known after a call. `is_quiet` is False if what was sent may still be at work in the shop."""

    saga: Saga
    run: Run
    is_quiet: bool = True


def begun(saga: Saga, call: Call) -> Saga:
    """What is written down before the shop is asked: after a crash in the call it is all that is known."""
    match call:
        case Create():
            return replace(saga, never_sent=False)
        case Refund(refund=refund):
            return replace(saga, refund=refund, refund_id=None)
        case _:
            return saga


def after(
    saga: Saga,
    run: Run,
    call: Call,
    result: Result,
    *,
    gateway: str,
    draw: float,
    left_seconds: float | None = None,
) -> After:
    """What is known once the shop has answered, or has not. `left_seconds`: the time that the conversion has left; the
    shop may ask for a wait, but not for all of that."""
    known = _known(saga, run, call, result, gateway)
    if not isinstance(result, Unknown | Unavailable) and not (
        isinstance(result, Refused) and not result.permanent
    ):
        return After(replace(known.saga, failures=0), known.run)
    if isinstance(result, Unavailable) and result.is_left_alone:
        # It did not fail this booking, which comes back soon after the circuit may have closed, not in a minute.
        wait = (result.retry_after_seconds or AGAIN.first_seconds) * (1 + draw) + draw
        wait = wait if left_seconds is None else within(wait, left_seconds)
        return After(known.saga, replace(known.run, trouble=result.detail, trouble_seconds=wait))
    failures = saga.failures + 1
    told = result.retry_after_seconds if isinstance(result, Unknown | Unavailable) else None
    why = f"{type(call).__name__.lower()}: {_said(result)}"
    troubled = replace(
        known.run, trouble=why, trouble_seconds=AGAIN.seconds(failures, draw, told, left_seconds=left_seconds)
    )
    return After(replace(known.saga, failures=failures), troubled, is_quiet=not isinstance(result, Unknown))


def words(result: Result) -> str:
    """The result for whoever looks at the row; nothing personal."""
    name = type(result).__name__.lower()
    said = _said(result)
    return f"{name}: {said}"[:200] if said else name


def _said(result: Result) -> str:
    match result:
        case Unknown(detail=detail) | Unavailable(detail=detail):
            return detail
        case Refused(reason=reason, detail=detail):
            return f"{reason}: {detail}" if detail else reason
        case _:
            return ""


def _known(saga: Saga, run: Run, call: Call, result: Result, gateway: str) -> After:
    match call:
        case Create():
            return After(_after_create(saga, call, result, gateway), run)
        case Find():
            return After(_after_find(saga, call, result, gateway), replace(run, was_searched=True))
        case Cancel():
            return _after_cancel(saga, run, call, result)
        case Refund():
            return _after_refund(saga, run, result)
        case _:
            return _after_get(saga, run, result)


def _after_create(saga: Saga, call: Create, result: Result, gateway: str) -> Saga:
    match result:
        case Created(order) | Found(order):
            seen = _seen(saga, order, result.twins if isinstance(result, Found) else (), gateway)
            return _ordered(seen)
        case Refused(permanent=True):
            refused = new_verdict(saga, "failed", _said(result))
            return replace(saga, verdict=replace(refused, refused=True))
        case Refused() | Unavailable():
            # Certainly nothing was stored by this call; and by none before it, if none could have been.
            return replace(saga, never_sent=not call.sent_before)
        case _:
            return saga


def _after_find(saga: Saga, call: Find, result: Result, gateway: str) -> Saga:
    match result:
        case Found(order, twins):
            if call.order_id is not None:
                return _with_surplus(saga, (order, *twins), call.order_id)
            seen = _seen(saga, order, twins, gateway)
            return _ordered(seen) if call.decides else seen
        case NotFound() if call.is_paid and call.is_last:
            why = "it was paid, and the shop could not be asked for its order in time"
            return replace(saga, verdict=new_verdict(saga, "unknown", why))
        case NotFound() if call.decides and not call.is_paid:
            return replace(saga, verdict=new_verdict(saga, "failed", "the shop has no such order"))
        case Refused() | Unavailable() if call.is_last:
            why = f"nobody knows whether there is an order: {_said(result)}"
            return replace(saga, verdict=new_verdict(saga, "unknown", why))
        case _:
            return saga


def _after_get(saga: Saga, run: Run, result: Result) -> After:
    match result:
        case Found(order):
            return After(replace(saga, order=order), replace(run, is_fresh=True))
        case NotFound():
            return After(saga, replace(run, is_fresh=True, is_gone=True))
        case Refused(permanent=True):
            return After(saga, replace(run, is_fresh=True, refused=_said(result)))
        case _:
            return After(saga, run)


def _after_cancel(saga: Saga, run: Run, call: Cancel, result: Result) -> After:
    is_surplus = call.order_id in saga.surplus
    if isinstance(result, Refused) and result.permanent:
        return After(saga, replace(run, trouble=f"cancel: {_said(result)}", trouble_seconds=AGAIN.max_seconds))
    if not isinstance(result, Cancelled | NotFound):
        return After(saga, run)
    if is_surplus:
        left = tuple(order_id for order_id in saga.surplus if order_id != call.order_id)
        return After(replace(saga, surplus=left), run)
    if isinstance(result, Cancelled):
        return After(replace(saga, order=result.order), run)
    return After(saga, replace(run, is_gone=True))


def _after_refund(saga: Saga, run: Run, result: Result) -> After:
    match result:
        case Refunded(refund_id, amount):
            assert saga.refund is not None, "a refund is written down before it is asked for"
            ended = replace(
                saga,
                refund=replace(saga.refund, amount=amount),
                refund_id=refund_id,
                refunds=saga.refunds + 1,
                given_back=saga.given_back + amount,
            )
            # The order is looked at again: what was seen of it may have this refund in it already, where the shop had
            # made it before and only its answer was lost.
            return After(ended, replace(run, is_fresh=False))
        case Refused(permanent=True):
            return After(replace(saga, refused=_said(result)), run)
        case NotFound():
            return After(replace(saga, refused="the shop has no such order"), run)
        case _:
            return After(saga, run)


def _seen(saga: Saga, order: ShopOrder, twins: tuple[ShopOrder, ...], gateway: str) -> Saga:
    """The order that is known stays the one; all others that are not over are one too many."""
    known = None if saga.order is None else saga.order.order_id
    every = (order, *twins)
    ours = next((one for one in every if one.order_id == known), order)
    surplus = [one.order_id for one in every if one.order_id != ours.order_id and not one.is_over]
    return replace(
        saga,
        order=ours,
        gateway=gateway,
        surplus=tuple(dict.fromkeys([*saga.surplus, *surplus])),
        never_sent=False,
    )


def _with_surplus(saga: Saga, every: tuple[ShopOrder, ...], order_id: str) -> Saga:
    """All but the booking's own order are too many, wherever that is by now."""
    surplus = [one.order_id for one in every if one.order_id != order_id and not one.is_over]
    return replace(saga, surplus=tuple(dict.fromkeys([*saga.surplus, *surplus])))


def _ordered(saga: Saga) -> Saga:
    assert saga.order is not None
    settled = new_verdict(saga, "ordered", "")
    return replace(saga, verdict=replace(settled, order=booked(saga.order, saga.gateway)))
