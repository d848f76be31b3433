"""`holdgate history`: what happened, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import exits
from .failures import Failure
from .formats import amount, basket, moment, short
from .lookups import only
from .output import Column, Output, output_option
from .params import ID_PART, example, limit_option
from .site import Access, pass_access

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.history import History, JournalEntry


@click.command(
    epilog=example(
        "holdgate history --hold 3f2a91c0",
        "holdgate history --session cart-17",
        "holdgate history --occurrence occ-1 --limit 20",
        "holdgate history --request 3f2a91c0-… --output json     (the answer and the events as they were sent)",
    )
)
@click.option("--hold", type=ID_PART, help="Everything that touched a hold, its expiry included.")
@click.option("--session", metavar="ID", help="What a session asked for, and what became of its holds.")
@click.option("--request", type=ID_PART, help="One request and its answer.")
@click.option("--occurrence", metavar="ID", help="What was decided on an occurrence.")
@click.option("--long", "full", is_flag=True, help="Whole ids.")
@limit_option(50)
@output_option
@pass_access
def history(
    access: Access,
    hold: str | None,
    session: str | None,
    request: str | None,
    occurrence: str | None,
    full: bool,
    limit: int,
    out: Output,
) -> None:
    """What happened to a hold, a session, a request or an occurrence: the newest entries, the oldest first.

    Reads are not in the journal, nor requests that could not be read (see `holdgate dlq`).
    """
    from holdgate_workers.adapters.postgres.history import History

    if sum(wanted is not None for wanted in (hold, session, request, occurrence)) != 1:
        raise click.UsageError("give one of --hold, --session, --request and --occurrence")
    with access.opened(History) as reader:
        about, entries = _found(reader, hold, session, request, occurrence, limit)
    if out.is_json:
        out.json({"entries": entries})
    if not entries:
        raise Failure(f"nothing was decided for {about} (or not within the retention)", exits.REFUSED)
    if out.is_json:
        return
    if request is not None:
        _tell_request(out, entries[0])
    else:
        _tell_list(out, entries, about if hold is not None else None, full=full)


def _found(
    reader: History,
    hold: str | None,
    session: str | None,
    request: str | None,
    occurrence: str | None,
    limit: int,
) -> tuple[str, list[JournalEntry]]:
    """What was asked about, and the entries."""
    if hold is not None:
        hold_id = only("hold", hold, reader.holds_like)
        return hold_id, reader.of_hold(hold_id, limit)
    if session is not None:
        return session, reader.of_session(session, limit)
    if request is not None:
        request_id = only("request", request, reader.requests_like)
        return request_id, reader.of_request(request_id)
    assert occurrence is not None
    return occurrence, reader.of_occurrence(occurrence, limit)


def _tell_list(out: Output, entries: list[JournalEntry], hold_id: str | None, *, full: bool) -> None:
    """One hold's own id would be the same in every line, so then its column is left out."""
    columns: list[Column | str] = [
        "decided",
        Column("v", right=True),
        "request",
        "result",
        Column("what", wrap=True),
    ]
    columns += [] if hold_id is not None else ["hold"]
    columns += ["session", "by"] if full else []
    rows: list[list[object]] = []
    for entry in entries:
        decided = entry.decided_at if full else f"{entry.decided_at:%m-%d %H:%M:%S}"
        kind = entry.kind if full else entry.kind.rpartition(".")[0]
        request = f"{kind} {short(entry.request_id, full=full)}"
        row: list[object] = [decided, entry.version, request, _result(entry), _what(entry, hold_id)]
        row += [] if hold_id is not None else [short(_hold_id(entry), full=full)]
        row += [entry.session_id or "", entry.app_id or ""] if full else []
        rows.append(row)
    out.table(columns, rows)


def _result(entry: JournalEntry) -> str:
    return entry.reason or entry.outcome.removeprefix("occurrence_")


def _hold_id(entry: JournalEntry) -> str | None:
    """The hold that the request was about; for a sweep of one hold, that one. A refused basket made none."""
    if entry.hold_id is not None:
        return None if entry.reason and entry.hold_id == entry.request_id else entry.hold_id
    holds = {event["hold"]["hold_id"] for event in entry.events if "hold" in event}
    return holds.pop() if len(holds) == 1 else None


def _what(entry: JournalEntry, hold_id: str | None) -> str:
    """The events in words; if it is about one hold, only that hold's. Of a refusal, what it taught."""
    told = []
    for event in entry.events:
        view = event.get("hold")
        if view is not None and (hold_id is None or view["hold_id"] == hold_id):
            told.append(_of_hold(event, view, entry.outcome))
        elif view is None and hold_id is None:
            told.append(_of_occurrence(event))
    if entry.reason:
        told.append(_lesson(entry.reply))
    return "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")


def _lesson(reply: dict[str, Any]) -> str:
    parts = [f"asked {reply['requested']}"] if "requested" in reply else []
    parts += [f"{key} {amount(number)} left" for key, number in reply.get("available", {}).items()]
    parts += [f"limit {reply['limit']}"] if "limit" in reply else []
    parts += [str(reply["not_on_sale"])] if "not_on_sale" in reply else []
    parts += [f"is {reply['hold_state']}"] if "hold_state" in reply else []
    parts += [f"{error['field']} {error['reason']}" for error in reply.get("errors", [])]
    return ", ".join(parts) or str(reply.get("subject", ""))


def _of_hold(event: dict[str, Any], view: dict[str, Any], outcome: str) -> str:
    name = str(event["type"]).removeprefix("hold.").rpartition(".")[0]
    why = f" ({event['reason'].replace('_', ' ')})" if "reason" in event else ""
    said = "" if name == outcome or (name, outcome) == ("created", "held") else f"{name} "
    return f"{said}{basket(view['items'], view.get('extras'))}{why}"


def _of_occurrence(event: dict[str, Any]) -> str:
    if event["type"].startswith("capacity.deficit"):
        return f"{event['pool']}: {event['taken']} taken, {event['target']} wanted"
    return "created" if event.get("created") else f"now {event.get('status', event['type'])}"


def _tell_request(out: Output, entry: JournalEntry) -> None:
    import json

    out.details(
        [
            ("request", entry.request_id),
            ("kind", entry.kind),
            ("occurrence", f"{entry.occurrence_id}, version {entry.version}"),
            ("decided", moment(entry.decided_at)),
            ("result", entry.outcome + (f": {entry.reason}" if entry.reason else "")),
            ("session", entry.session_id),
            ("hold", entry.hold_id),
            ("sent by", entry.app_id),
        ]
    )
    out.line()
    out.line("Its answer", style="bold")
    out.line(json.dumps(entry.reply, indent=2, ensure_ascii=False))
    for event in entry.events:
        out.line(f"Event {event['event_id']}", style="bold")
        out.line(json.dumps(event, indent=2, ensure_ascii=False))
