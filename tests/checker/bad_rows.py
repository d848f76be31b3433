"""Bad histories: rows, events and accounts that do not fit together, and inputs that are missing."""

from __future__ import annotations

import json

from tests.checker.decoding import Change
from tests.checker.editing import (
    after,
    changes,
    decision,
    edit,
    forget,
    hold_change,
    notes,
    pool_of,
)
from tests.checker.history import History, compact
from tests.checker.instants import SECOND, micros, row_stamp
from tests.checker.recording import STREAM, TAP_EVENTS

# --- P8 and P9 --------------------------------------------------------------------------------------------------


@edit("P8")
def a_hold_expires_before_its_time(history: History) -> None:
    row = hold_change(history, "expired")[1].row
    row["expires_at"] = row_stamp(micros(str(row["expires_at"])) + 3600 * SECOND)


@edit("P8")
def a_hold_expires_much_too_late(history: History) -> None:
    transaction, _ = hold_change(history, "expired")
    first = history.transactions.index(transaction)
    history.transactions[first:] = [
        one._replace(committed_at=one.committed_at + 60 * SECOND) for one in history.transactions[first:]
    ]


@edit("P8")
def a_hold_is_never_found_to_be_over(history: History) -> None:
    ended = micros(history.run["ended_at"]) + 3600 * SECOND
    history.run["ended_at"] = row_stamp(ended)


@edit("P9")
def a_released_hold_comes_back(history: History) -> None:
    transaction, change = hold_change(history, "released")
    after(history, transaction, Change("holds", "UPDATE", {**change.row, "state": "active", "ended_at": None}))


@edit("P9")
def an_active_hold_is_confirmed_without_converting(history: History) -> None:
    transaction, change = hold_change(history, "active", "INSERT")
    after(history, transaction, Change("holds", "UPDATE", {**change.row, "state": "confirmed"}))


@edit("P9")
def a_hold_is_deleted(history: History) -> None:
    transaction, change = hold_change(history, "active", "INSERT")
    after(history, transaction, Change("holds", "DELETE", {"id": change.row["id"]}))


@edit("P9")
def a_hold_changes_its_owner(history: History) -> None:
    hold_change(history, "released")[1].row["session_id"] = "somebody-else"


@edit("P9")
def a_recorded_decision_is_changed(history: History) -> None:
    transaction, row = decision(history, "held")
    after(history, transaction, Change("journal", "UPDATE", {**row, "outcome": "refused"}))


# --- P10 and P11 ------------------------------------------------------------------------------------------------


@edit("P10")
def a_counter_is_off_by_one(history: History) -> None:
    row = pool_of(decision(history, "released")[0], held=True)
    row["held"] = str(int(row["held"] or 0) - 1)


@edit("P10")
def the_counters_are_not_written(history: History) -> None:
    transaction, _ = hold_change(history, "released")
    transaction.changes[:] = [change for change in transaction.changes if change.table != "pools"]


@edit("P10")
def a_sessions_limit_is_off_by_one(history: History) -> None:
    row = next(change.row for _, change in changes(history, "shared_limits") if change.row["scope"] == "session")
    row["used"] = str(int(row["used"] or 0) + 1)


@edit("P11")
def an_occurrences_version_falls(history: History) -> None:
    rows = [change.row for _, change in changes(history, "occurrences") if change.operation == "UPDATE"]
    rows[-1]["version"] = "2"


@edit("P11")
def two_transactions_share_a_version(history: History) -> None:
    rows = [change.row for _, change in changes(history, "journal") if int(change.row["version"] or 0) > 0]
    here = [row for row in rows if row["occurrence_id"] == rows[-1]["occurrence_id"]]
    first = next(row for row in here if row["xid"] == here[-1]["xid"])
    before = here[here.index(first) - 1]
    first["version"] = before["version"]


@edit("P11")
def a_version_is_left_out(history: History) -> None:
    rows = [change.row for _, change in changes(history, "journal") if change.row["outcome"] == "held"]
    rows[-1]["version"] = str(int(rows[-1]["version"] or 0) + 1)


# --- P12 --------------------------------------------------------------------------------------------------------


@edit("P12")
def an_event_is_never_told(history: History) -> None:
    del history.tap_events[5]


@edit("P12")
def an_event_is_invented(history: History) -> None:
    note = dict(history.tap_events[5])
    event = {**json.loads(note["event"]), "event_id": "invented/0"}
    history.tap_events.append({**note, "event": compact(event), "id": "invented/0"})


@edit("P12")
def events_of_one_occurrence_are_told_in_the_wrong_order(history: History) -> None:
    events = history.tap_events
    first = json.loads(events[3]["event"])["occurrence_id"]
    other = next(n for n in range(4, len(events)) if json.loads(events[n]["event"])["occurrence_id"] == first)
    events[3], events[other] = events[other], events[3]


@edit("P12")
def an_event_is_told_otherwise(history: History) -> None:
    note = history.tap_events[5]
    event = {**json.loads(note["event"]), "occurred_at": "2020-01-01T00:00:00Z"}
    note["event"] = compact(event)


@edit("P12")
def a_hold_has_two_ends(history: History) -> None:
    row = decision(history, "released")[1]
    event = json.loads(str(row["events"]))[0]
    second = {**event, "type": "hold.expired.v1", "event_id": f"{row['request_id']}/1"}
    row["events"] = compact([event, second])
    history.tap_events.append({"event": compact(second), "id": second["event_id"]})


# --- P14 to P16, and what is missing ----------------------------------------------------------------------------


@edit("P14")
def the_broker_never_saw_a_request(history: History) -> None:
    row = decision(history, "held")[1]
    history.tap_requests[:] = [note for note in history.tap_requests if note["id"] != row["request_id"]]


@edit("P14")
def a_request_vanishes_behind_the_broker(history: History) -> None:
    body = {"type": "hold.place.v1", "request_id": "gone", "occurrence_id": "occ-0", "items": {"adult": 1}}
    history.tap_requests.append({"body": compact(body), "id": "gone", "w": history.tap_requests[-1]["w"]})


@edit("P14")
def a_message_without_ids_is_nowhere(history: History) -> None:
    history.tap_requests.append({"body": "{", "w": history.tap_requests[-1]["w"]})


@edit("P15")
def requests_are_left_in_the_queue(history: History) -> None:
    history.final["queued"] = {"holdgate.requests.00": 2}


@edit("P15")
def a_request_is_never_answered(history: History) -> None:
    forget(history, decision(history, "held")[1]["request_id"], "got")


@edit("P15")
def a_request_waits_for_a_minute(history: History) -> None:
    for _, note in notes(history, "sent", decision(history, "held")[1]["request_id"]):
        note["w"] -= 60 * SECOND


@edit("P15")
def a_client_gives_up(history: History) -> None:
    next(iter(history.clients.values())).append({"gave_up": [decision(history, "held")[1]["request_id"]]})


@edit("P16", "unknown")
def a_fault_did_not_happen(history: History) -> None:
    history.nemesis[0]["really_applied"] = False


@edit("P16", "unknown")
def a_planned_fault_never_came(history: History) -> None:
    history.run["faults"] = ["kill", "partition"]


@edit("P1", "unknown")
def the_stream_is_cut_off(history: History) -> None:
    history.cut.add(STREAM)


@edit("P12", "unknown")
def the_events_tap_is_cut_off(history: History) -> None:
    history.cut.add(TAP_EVENTS)


@edit("P2", "unknown")
def a_clients_notes_are_cut_off(history: History) -> None:
    history.cut.add("client-0")


@edit("P5", "unknown")
def a_setting_is_changed_on_the_way(history: History) -> None:
    transaction, _ = decision(history, "held")
    after(history, transaction, Change("settings", "INSERT", {"name": "hold.ttl_minutes", "value": "20"}))
