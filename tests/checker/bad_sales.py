"""Bad histories: seats that are sold, prices, vouchers and second answers that are wrong."""

from __future__ import annotations

import copy
import json

from tests.checker.decoding import Change, Row, Transaction
from tests.checker.editing import after, changes, decision, edit, hold_change, reword
from tests.checker.history import History, Note, compact

# --- sold -------------------------------------------------------------------------------------------------------


def _booking(history: History, state: str) -> tuple[Transaction, Change]:
    return next((one, change) for one, change in changes(history, "bookings") if change.row["state"] == state)


def _follow_up(history: History, *, answered: bool) -> tuple[Transaction, Row]:
    """The last one of which that is so."""
    found = [(one, change.row) for one, change in changes(history, "follow_ups")]
    return [(one, row) for one, row in found if (row["answered_by"] is not None) == answered][-1]


def _second(history: History, outcome: str) -> tuple[list[Note], Note]:
    """The first second answer that a client heard, of this outcome."""
    for lines in history.clients.values():
        for note in lines:
            if "got" in note and json.loads(note["got"])["outcome"] == outcome:
                return lines, note
    raise AssertionError(outcome)


@edit("P9")
def a_converting_hold_expires(history: History) -> None:
    transaction, change = hold_change(history, "converting")
    after(history, transaction, Change("holds", "UPDATE", {**change.row, "state": "expired"}))


@edit("P9")
def an_expired_hold_is_confirmed(history: History) -> None:
    transaction, change = hold_change(history, "expired")
    after(history, transaction, Change("holds", "UPDATE", {**change.row, "state": "confirmed", "ended_at": None}))


@edit("P13")
def an_expired_hold_has_a_booking_that_is_confirmed(history: History) -> None:
    transaction, change = hold_change(history, "expired")
    row = copy.deepcopy(_booking(history, "confirmed")[1].row)
    document = {**json.loads(str(row["document"])), "id": change.row["id"], "hold_id": change.row["id"]}
    row |= {"id": change.row["id"], "hold_id": change.row["id"], "document": compact(document)}
    after(history, transaction, Change("bookings", "INSERT", row))


@edit("P13")
def seats_are_sold_to_two_bookings(history: History) -> None:
    transaction, change = _booking(history, "converting")
    document = {**json.loads(str(change.row["document"])), "id": "another"}
    second = {**change.row, "id": "another", "document": compact(document)}
    after(history, transaction, Change("bookings", "INSERT", second))


@edit("P10")
def sold_seats_are_counted_twice(history: History) -> None:
    row = next(change.row for _, change in changes(history, "pools") if int(change.row["sold"] or 0) > 0)
    row["sold"] = str(2 * int(row["sold"] or 0))


@edit("P13")
def seats_are_sold_and_no_booking_has_them(history: History) -> None:
    transaction, change = _booking(history, "confirmed")
    transaction.changes.remove(change)


@edit("P13")
def a_booking_that_failed_is_cancelled_besides(history: History) -> None:
    transaction, change = _booking(history, "failed")
    document = {**json.loads(str(change.row["document"])), "state": "cancelled"}
    row = {**change.row, "state": "cancelled", "document": compact(document)}
    after(history, transaction, Change("bookings", "UPDATE", row))


@edit("P13")
def a_booking_fails_and_keeps_its_seats(history: History) -> None:
    transaction, change = _booking(history, "failed")
    held = [one for one in transaction.changes if one.table == "holds" and one.row["id"] == change.row["hold_id"]]
    assert held
    transaction.changes[:] = [one for one in transaction.changes if one not in held]


# --- money ------------------------------------------------------------------------------------------------------


def _with_money(history: History, state: str, **fields: object) -> None:
    change = _booking(history, state)[1]
    change.row["document"] = compact({**json.loads(str(change.row["document"])), **fields})


@edit("P13")
def more_is_to_be_given_back_than_was_paid(history: History) -> None:
    _with_money(history, "failed", refund="due", refund_due=10**9)


@edit("P13")
def a_refund_is_said_to_be_done_and_nothing_went_back(history: History) -> None:
    _with_money(history, "confirmed", refund="done")


@edit("P13")
def a_booking_is_over_and_nobody_owes_its_money(history: History) -> None:
    for _, change in changes(history, "bookings"):
        document = json.loads(str(change.row["document"]))
        if document.get("refund_due") and document.get("ended_by") != "staff":
            del document["refund"], document["refund_due"]
            change.row["document"] = compact(document)
            return
    raise AssertionError("nothing is owed")


@edit("P13")
def what_went_back_is_forgotten(history: History) -> None:
    rows = [change for _, change in changes(history, "bookings") if '"refunded":' in str(change.row["document"])]
    last = rows[-1]
    document = json.loads(str(last.row["document"]))
    del document["refunded"], document["refund"]
    after(
        history,
        history_of(history, last),
        Change("bookings", "UPDATE", {**last.row, "document": compact(document)}),
    )


def history_of(history: History, wanted: Change) -> Transaction:
    """The transaction of a change."""
    return next(one for one, change in changes(history, "bookings") if change is wanted)


# --- prices and vouchers ----------------------------------------------------------------------------------------


@edit("P13")
def a_booking_has_another_price_than_its_hold(history: History) -> None:
    for _, change in changes(history, "bookings"):
        if change.row["id"] == _booking(history, "confirmed")[1].row["id"]:
            document = json.loads(str(change.row["document"]))
            document["quote"]["total"] += 100
            document["payment"]["amount"] += 100
            change.row["document"] = compact(document)


@edit("P5")
def a_hold_is_told_another_price_than_was_made(history: History) -> None:
    row = decision(history, "priced")[1]
    reply = json.loads(str(row["reply"]))
    reword(history, row, quote={**reply["quote"], "total": reply["quote"]["total"] + 1})


@edit("P10")
def a_voucher_is_not_given_back(history: History) -> None:
    before: dict[str | None, int] = {}
    for _, change in changes(history, "shared_limits"):
        key, used = change.row["key"], int(change.row["used"] or 0)
        if change.row["scope"] == "voucher" and used < before.get(key, 0):
            change.row["used"] = str(before[key])
            return
        before[key] = used
    raise AssertionError("no voucher ever came back")


@edit("P1")
def a_voucher_is_used_too_often(history: History) -> None:
    rows = [change.row for _, change in changes(history, "shared_limits") if change.row["scope"] == "voucher"]
    rows[0]["used"] = str(int(rows[0]["cap"] or 0) + 1)


# --- second answers ---------------------------------------------------------------------------------------------


@edit("P17")
def a_second_answer_is_not_the_recorded_one(history: History) -> None:
    _, note = _second(history, "confirmed")
    answer = json.loads(note["got"])
    answer["booking"]["state"] = "converting"
    note["got"] = compact(answer)


@edit("P17")
def a_second_answer_is_given_again_with_other_words(history: History) -> None:
    lines, note = _second(history, "priced")
    answer = json.loads(note["got"])
    answer["quote"]["total"] += 1
    lines.append({**note, "got": compact(answer)})


@edit("P17")
def a_second_answer_comes_before_its_commit(history: History) -> None:
    _, note = _second(history, "confirmed")
    note["w"] -= 1_000_000


@edit("P17")
def a_second_answer_was_never_recorded(history: History) -> None:
    _, note = _second(history, "priced")
    note["got"] = compact({**json.loads(note["got"]), "request_id": "00000000-0000-4000-8000-000000000000"})


@edit("P17")
def a_request_has_two_second_answers(history: History) -> None:
    lines, note = _second(history, "priced")
    other = next(one for name in history.clients for one in history.clients[name]
                 if "got" in one and one is not note and '"outcome":"priced"' in one["got"])  # fmt: skip
    lines.append({**other, "for": note["for"]})


@edit("P17")
def a_second_answer_is_replaced(history: History) -> None:
    transaction, row = _follow_up(history, answered=True)
    again = {**row, "answered_by": "00000000-0000-4000-8000-000000000000"}
    after(history, transaction, Change("follow_ups", "UPDATE", again))


@edit("P17")
def a_refusal_promises_a_second_answer(history: History) -> None:
    transaction, row = decision(history, "refused", "sold_out")
    promise = {"request_id": row["request_id"], "reply_to": "there", "correlation_id": "", "answered_by": None}
    transaction.changes.append(Change("follow_ups", "INSERT", promise))
