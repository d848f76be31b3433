"""Bad histories: lines that are served out of turn, carts that are neither held nor refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.checker.decoding import Change, Row, Transaction
from tests.checker.editing import after, changes, decision, drop_row, edit, reword
from tests.checker.history import History, compact

Told = list[dict[str, Any]]
STRANGER = "00000000-0000-4000-8000-000000000000"


def _offers(history: History) -> Iterator[tuple[Transaction, Row, Told, int]]:
    """The decisions that make an offer, and where in their events it begins."""
    for transaction, change in changes(history, "journal"):
        events: Told = json.loads(change.row["events"] or "[]")
        for place, event in enumerate(events):
            if event["type"] == "waitlist.offered.v1":
                yield transaction, change.row, events, place - 1


def _retell(history: History, row: Row, events: Told) -> None:
    """Other events, numbered anew, in the record and to the world."""
    for event in json.loads(row["events"] or "[]"):
        history.tap_events[:] = [note for note in history.tap_events if note["id"] != event["event_id"]]
    for number, event in enumerate(events):
        event["event_id"] = f"{row['request_id']}/{number}"
        history.tap_event({"event": compact(event), "id": event["event_id"], "w": 0})
    row["events"] = compact(events) if events else None


def _rows_of(transaction: Transaction, hold_id: str) -> list[Row]:
    return [one.row for one in transaction.changes if one.table == "holds" and one.row["id"] == hold_id]


def _body(history: History, row: Row) -> dict[str, Any]:
    """What the tap heard of a command."""
    found: dict[str, Any] = next(note for note in history.tap_requests if note["id"] == row["request_id"])
    return found


def _carts(history: History, outcome: str) -> tuple[Transaction, Row]:
    """The last cart that ended so."""
    return [
        (transaction, change.row)
        for transaction, change in changes(history, "journal")
        if change.row["kind"] == "cart.settle.v1" and change.row["outcome"] == outcome
    ][-1]


# --- lines ------------------------------------------------------------------------------------------------------


@edit("P19")
def seats_are_freed_and_nobody_in_line_is_asked(history: History) -> None:
    transaction, row, events, place = next(_offers(history))
    hold_id = events[place]["hold"]["hold_id"]
    _retell(history, row, events[:place] + events[place + 2 :])
    for one in _rows_of(transaction, hold_id):
        drop_row(transaction, one)


@edit("P19")
def somebody_is_offered_seats_who_does_not_stand_in_line(history: History) -> None:
    transaction, row, events, place = next(_offers(history))
    hold_id = events[place]["hold"]["hold_id"]
    for event in events[place : place + 2]:
        event["hold"]["hold_id"] = STRANGER
    events[place + 1]["entry_id"] = STRANGER
    _retell(history, row, events)
    for one in _rows_of(transaction, hold_id):
        one["id"] = STRANGER


@edit("P19")
def one_entry_is_offered_seats_twice(history: History) -> None:
    """The second time instead of somebody else."""
    (_, _, first, there), (transaction, row, events, place) = list(_offers(history))[:2]
    again, hold_id = first[there]["hold"]["hold_id"], events[place]["hold"]["hold_id"]
    for event in events[place : place + 2]:
        event["hold"]["hold_id"] = again
    events[place + 1]["entry_id"] = again
    _retell(history, row, events)
    for one in _rows_of(transaction, hold_id):
        one["id"] = again


@edit("P5")
def an_offer_is_told_of_which_there_is_no_hold(history: History) -> None:
    transaction, row, events, place = next(_offers(history))
    for one in _rows_of(transaction, events[place]["hold"]["hold_id"]):
        drop_row(transaction, one)
    _retell(history, row, events[:place] + events[place + 1 :])


@edit("P3")
def an_offer_takes_no_seats(history: History) -> None:
    transaction, _, events, place = next(_offers(history))
    for one in _rows_of(transaction, events[place]["hold"]["hold_id"]):
        drop_row(transaction, one)


@edit("P5")
def an_offer_lives_longer_than_the_house_says(history: History) -> None:
    _, row, events, place = next(_offers(history))
    for event in events[place : place + 2]:
        event["hold"]["expires_at"] = "2031-01-01T00:00:00.000000Z"
    _retell(history, row, events)


@edit("P5")
def an_offer_comes_before_what_frees_its_seats(history: History) -> None:
    _, row, events, place = next(_offers(history))
    _retell(history, row, events[place : place + 2] + events[:place] + events[place + 2 :])


@edit("P5")
def a_place_in_line_is_miscounted(history: History) -> None:
    row = decision(history, "waiting", nth=1)[1]
    reword(history, row, position=json.loads(str(row["reply"]))["position"] + 1)


@edit("P5")
def somebody_joins_though_there_is_room(history: History) -> None:
    row = decision(history, "refused", "not_sold_out")[1]
    told = {"entry_id": row["request_id"], "session_id": "somebody", "seats": 1}
    fields = json.loads(str(row["reply"]))
    event = {name: fields[name] for name in ("occurrence_id", "version")} | {"occurred_at": fields["decided_at"]}
    reword(history, row, outcome="waiting", reason=None, position=1, **told)
    _retell(history, row, [{"type": "waitlist.joined.v1", **event, **told}])


@edit("P5")
def somebody_stands_in_line_twice(history: History) -> None:
    row = decision(history, "refused", "already_waiting")[1]
    told = {"entry_id": row["request_id"], "session_id": row["session_id"], "seats": 1}
    reword(history, row, outcome="waiting", reason=None, position=2, **told)


@edit("P5")
def somebody_leaves_the_line_for_somebody_else(history: History) -> None:
    row = decision(history, "left_waitlist")[1]
    note = _body(history, row)
    body = compact({**json.loads(note["body"]), "session_id": "somebody-else"})
    for lines in history.clients.values():
        for sent in lines:
            if sent.get("sent") == note["body"]:
                sent["sent"] = body
    note["body"] = body


@edit("P19")
def who_was_offered_seats_still_stands_in_the_rows(history: History) -> None:
    transaction, change = next(one for one in changes(history, "waitlist") if one[1].row["state"] == "offered")
    transaction.changes.remove(change)


@edit("P19")
def the_row_of_who_joins_is_missing(history: History) -> None:
    transaction, row = decision(history, "waiting")
    for change in [one for one in transaction.changes if one.row.get("id") == row["request_id"]]:
        transaction.changes.remove(change)


@edit("P19")
def the_rows_have_a_line_the_other_way_round(history: History) -> None:
    for _, change in changes(history, "waitlist"):
        change.row["place"] = str(-int(change.row["place"] or 0))


@edit("P19")
def who_was_offered_seats_has_left_by_the_rows(history: History) -> None:
    for _, change in changes(history, "waitlist"):
        if change.row["state"] == "offered":
            change.row["state"] = "left"


# --- carts ------------------------------------------------------------------------------------------------------


@edit("P18")
def a_cart_is_told_to_be_held_and_a_leg_is_missing(history: History) -> None:
    _, row = _carts(history, "cart_held")
    note = _body(history, row)
    body = json.loads(note["body"])
    body["hold_ids"].popitem()
    note["body"] = compact(body)
    reword(history, row, hold_ids=body["hold_ids"])
    events = json.loads(str(row["events"]))
    events[0]["hold_ids"] = body["hold_ids"]
    _retell(history, row, events)


@edit("P18")
def a_cart_is_told_to_be_refused_and_keeps_a_leg(history: History) -> None:
    """What gives it back is not there."""
    transaction, row = decision(history, "cart_leg_released")
    drop_row(transaction, row)
    for one in _rows_of(transaction, json.loads(str(row["reply"]))["hold_id"]):
        drop_row(transaction, one)


@edit("P18")
def a_cart_is_refused_for_something_else(history: History) -> None:
    _, row = _carts(history, "refused")
    note = _body(history, row)
    note["body"] = compact({**json.loads(note["body"]), "reason": "below_min"})
    reword(history, row, reason="below_min")
    events = json.loads(str(row["events"]))
    events[0]["reason"] = "below_min"
    _retell(history, row, events)


def _again(history: History, transaction: Transaction, row: Row) -> None:
    """The same decision under another id, right behind a transaction."""
    note = _body(history, row)
    history.tap_request({**note, "id": STRANGER, "body": note["body"].replace(str(row["request_id"]), STRANGER)})
    second = {name: one and one.replace(str(row["request_id"]), STRANGER) for name, one in row.items()}
    after(history, transaction, Change("journal", "INSERT", second))


@edit("P18")
def a_cart_is_settled_twice(history: History) -> None:
    _again(history, *_carts(history, "cart_held"))


@edit("P18")
def a_leg_is_taken_after_the_verdict(history: History) -> None:
    transaction, row = _carts(history, "cart_held")
    first = next(iter(json.loads(str(row["reply"]))["hold_ids"].values()))
    held = next(change.row for _, change in changes(history, "journal") if change.row["request_id"] == first)
    _again(history, transaction, copy.deepcopy(held))


@edit("P18")
def a_leg_is_taken_for_somebody_else(history: History) -> None:
    _, row = _carts(history, "cart_held")
    hold_id = next(iter(json.loads(str(row["reply"]))["hold_ids"].values()))
    note = next(one for one in history.tap_requests if one["id"] == hold_id)
    note["body"] = compact({**json.loads(note["body"]), "user_id": "somebody-else"})


@edit("P5")
def a_leg_is_refused_and_nobody_is_told(history: History) -> None:
    row = next(
        change.row for _, change in changes(history, "journal")
        if change.row["kind"] == "cart.hold.v1" and change.row["outcome"] == "refused"
    )  # fmt: skip
    _retell(history, row, [])
