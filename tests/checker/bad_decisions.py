"""Bad histories: outcomes, answers and decisions that are wrong. Each edit breaks one property in one way."""

from __future__ import annotations

import copy
import json

from tests.checker.decoding import Change
from tests.checker.editing import (
    after,
    changes,
    decision,
    drop_row,
    edit,
    forget,
    hold_change,
    notes,
    pool_of,
    reword,
)
from tests.checker.history import History, compact
from tests.checker.instants import SECOND, micros, row_stamp

# --- P1 ---------------------------------------------------------------------------------------------------------


@edit("P1")
def more_is_held_than_may_be_sold(history: History) -> None:
    row = pool_of(decision(history, "held")[0])
    row["held"] = str(int(row["sellable"] or 0) + 1)


@edit("P1")
def a_counter_falls_below_zero(history: History) -> None:
    pool_of(decision(history, "held")[0])["held"] = "-1"


@edit("P1")
def sellable_is_raised_above_the_capacity(history: History) -> None:
    row = pool_of(decision(history, "held")[0])
    row["sellable"] = str(int(row["sellable"] or 0) + 5)


@edit("P1")
def the_hold_rows_take_more_than_there_is(history: History) -> None:
    change = hold_change(history, "active", "INSERT")[1]
    basket = json.loads(str(change.row["basket"]))
    basket["draws"]["total"] = 1000
    change.row["basket"] = compact(basket)


@edit("P1")
def a_shared_stock_is_used_beyond_its_cap(history: History) -> None:
    row = next(change.row for _, change in changes(history, "shared_limits") if change.row["scope"] == "stock")
    row["used"] = str(int(row["cap"] or 0) + 1)


# --- P2 and P3 --------------------------------------------------------------------------------------------------


@edit("P2")
def an_accepted_request_has_no_outcome(history: History) -> None:
    transaction, row = decision(history, "refused", "unknown_ticket")
    drop_row(transaction, row)
    forget(history, row["request_id"], "got")


@edit("P2")
def a_request_has_two_outcomes(history: History) -> None:
    transaction, row = decision(history, "refused", "unknown_ticket")
    after(history, transaction, Change("journal", "INSERT", copy.deepcopy(row)))


@edit("P2")
def an_outcome_that_nobody_asked_for(history: History) -> None:
    row = decision(history, "held")[1]
    forget(history, row["request_id"], "sent", "got", "confirmed")
    history.tap_requests[:] = [note for note in history.tap_requests if note["id"] != row["request_id"]]


@edit("P3")
def a_request_is_applied_a_second_time(history: History) -> None:
    transaction, change = hold_change(history, "active", "INSERT")
    after(history, transaction, copy.deepcopy(change))


@edit("P3")
def a_hold_changes_by_nobodys_request(history: History) -> None:
    transaction, change = hold_change(history, "active", "INSERT")
    row = {**change.row, "expires_at": row_stamp(micros(str(change.row["expires_at"])) + SECOND)}
    after(history, transaction, Change("holds", "UPDATE", row))


@edit("P3")
def a_grant_is_recorded_and_no_hold_made(history: History) -> None:
    transaction, change = hold_change(history, "active", "INSERT")
    drop_row(transaction, change.row)


@edit("P3")
def a_release_is_recorded_and_the_row_stays(history: History) -> None:
    transaction, change = hold_change(history, "released")
    drop_row(transaction, change.row)


@edit("P3")
def seats_are_given_back_by_nobodys_request(history: History) -> None:
    transaction, _ = decision(history, "held", nth=3)
    row = pool_of(transaction)
    less = {**row, "held": str(int(row["held"] or 0) - 1)}
    after(history, transaction, Change("pools", "UPDATE", less))


# --- P4 ---------------------------------------------------------------------------------------------------------


@edit("P4")
def an_answer_comes_before_its_commit(history: History) -> None:
    transaction, row = decision(history, "held")
    for _, note in notes(history, "got", row["request_id"]):
        note["w"] = transaction.committed_at - 50_000


@edit("P4")
def an_answer_is_not_the_recorded_one(history: History) -> None:
    row = decision(history, "held")[1]
    for _, note in notes(history, "got", row["request_id"]):
        reply = json.loads(note["got"])
        reply["hold"]["expires_at"] = "2099-01-01T00:00:00Z"
        note["got"] = compact(reply)


@edit("P4")
def a_refusal_is_answered_as_a_grant(history: History) -> None:
    row = decision(history, "refused", "sold_out")[1]
    for _, note in notes(history, "got", row["request_id"]):
        note["got"] = note["got"].replace('"refused"', '"held"')


@edit("P4")
def the_second_answer_differs_from_the_first(history: History) -> None:
    row = decision(history, "held")[1]
    lines, note = next(notes(history, "got", row["request_id"]))
    reply = {**json.loads(note["got"]), "version": 99}
    lines.append({**note, "got": compact(reply)})


@edit("P4")
def an_answer_without_a_record(history: History) -> None:
    transaction, row = decision(history, "refused", "unknown_ticket")
    drop_row(transaction, row)


@edit("P4")
def a_repeat_is_called_a_conflict(history: History) -> None:
    row = decision(history, "held")[1]
    lines, note = next(notes(history, "got", row["request_id"]))
    reply = {"outcome": "refused", "request_id": row["request_id"], "occurrence_id": row["occurrence_id"]}
    reply |= {"version": 0, "reason": "request_conflict", "retryable": False, "message": "no"}
    lines.append({**note, "got": compact(reply)})


@edit("P4")
def another_body_gets_the_first_ones_answer(history: History) -> None:
    row = decision(history, "held")[1]
    _, note = next(notes(history, "sent", row["request_id"]))
    _, got = next(notes(history, "got", row["request_id"]))
    body = json.loads(note["sent"])
    body["items"] = {"adult": 7}
    history.clients["other"] = [{**note, "sent": compact(body)}, dict(got)]
    history.run["clients"] = sorted(history.clients)
    history.tap_requests.append({"body": compact(body), "id": row["request_id"], "w": note["w"]})


# --- P5: answers that are wrong, but told alike everywhere ------------------------------------------------------


@edit("P5")
def available_is_told_wrong(history: History) -> None:
    row = decision(history, "held")[1]
    reply = json.loads(str(row["reply"]))
    reword(history, row, available={**reply["available"], "total": 1})


@edit("P5")
def the_refusal_names_the_wrong_reason(history: History) -> None:
    reword(history, decision(history, "refused", "unknown_ticket")[1], reason="not_on_sale", not_on_sale="started")


@edit("P5")
def sold_out_is_told_with_the_wrong_numbers(history: History) -> None:
    row = decision(history, "refused", "sold_out")[1]
    reply = json.loads(str(row["reply"]))
    reword(history, row, held={pool: number + 1 for pool, number in reply["held"].items()})


@edit("P5")
def the_body_that_was_sent_asks_for_more(history: History) -> None:
    row = decision(history, "held")[1]
    bodies = [(note, "sent") for _, note in notes(history, "sent", row["request_id"])]
    bodies += [(note, "body") for note in history.tap_requests if note["id"] == row["request_id"]]
    for note, name in bodies:
        body = json.loads(note[name])
        body["items"]["adult"] += 1
        note[name] = compact(body)


@edit("P5")
def a_hold_row_has_other_items(history: History) -> None:
    row = hold_change(history, "active", "INSERT")[1].row
    basket = json.loads(str(row["basket"]))
    basket["items"]["adult"] += 1
    row["basket"] = compact(basket)


@edit("P5")
def a_hold_lives_longer_than_promised(history: History) -> None:
    row = hold_change(history, "active", "INSERT")[1].row
    row["expires_at"] = row_stamp(micros(str(row["expires_at"])) + 60 * SECOND)


# --- P7: order in real time -------------------------------------------------------------------------------------


@edit("P7")
def decided_before_it_was_asked_after_another_answer(history: History) -> None:
    rows = [change.row for _, change in changes(history, "journal") if change.row["outcome"] == "refused"]
    early = next(row for row in rows if int(row["version"] or 0) > 0)
    late = [row for row in rows if row["occurrence_id"] == early["occurrence_id"]][-1]
    answered = max(note["t"] for _, note in notes(history, "got", late["request_id"]))
    for _, note in notes(history, "sent", early["request_id"]):
        note["t"] = answered + 1000
