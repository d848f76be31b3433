"""`holdgate history`: what happened, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.cutting import tell_cut
from holdgate_workers.cli.output.event_text import id_of, in_words, is_about
from holdgate_workers.cli.output.formats import amount, moment, short
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import ID_PART, example, limit_option

from .lookups import only

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.reports.history import History, JournalEntry

THINGS = ("hold", "booking", "cart", "entry")


@click.command(
    epilog=example(
        "holdgate history --hold 3f2a91c0",
        "holdgate history --booking 3f2a91c0",
        "holdgate history --session cart-17",
        "holdgate history --occurrence occ-1 --limit 20",
        "holdgate history --request 3f2a91c0-… --output json     (the answer and the events as they were sent)",
    )
)
@click.option("--hold", type=ID_PART, help="Everything that touched a hold, its expiry included.")
@click.option("--booking", type=ID_PART, help="The same of a booking and its order; it has the id of its hold.")
@click.option("--cart", type=ID_PART, help="Everything about a cart, on all of its occurrences.")
@click.option("--entry", type=ID_PART, help="Everything about a place in a waiting list, its offer included.")
@click.option("--session", metavar="ID", help="What a session asked for, and what became of what it has.")
@click.option("--request", type=ID_PART, help="One request and its answers.")
@click.option("--occurrence", metavar="ID", help="What was decided on an occurrence.")
@click.option("--long", "full", is_flag=True, help="Whole ids.")
@limit_option(50)
@output_option
@pass_access
def history(
    access: Access,
    /,
    full: bool,
    limit: int,
    out: Output,
    **asked: str | None,
) -> None:
    """What happened to one of these: the newest entries of the journal, the oldest first.

    Reads are not in the journal, nor requests that could not be read (see `holdgate dlq`).
    """
    from holdgate_workers.adapters.postgres.reports.history import History

    wanted = [(name, value) for name, value in asked.items() if value is not None]
    if len(wanted) != 1:
        names = ", ".join(f"--{name}" for name in sorted(asked))
        raise click.UsageError(f"give one of {names}")
    ((name, value),) = wanted
    with access.opened(History) as reader:
        about, entries = _found(reader, name, value, limit + 1)
    # Of a request all answers belong together; of everything else the newest are shown, which stand last.
    is_cut = name != "request" and len(entries) > limit
    entries = entries[-limit:] if is_cut else entries
    if out.is_json:
        out.json({"entries": entries, "is_cut": is_cut})
    if not entries:
        raise Failure(f"nothing was decided for {about} (or not within the retention)", exits.REFUSED)
    if out.is_json:
        return
    if name == "request":
        for number, entry in enumerate(entries):
            if number:
                out.line()
            _tell_request(out, entry)
    else:
        _tell_list(out, entries, about if name in THINGS else None, full=full)
        tell_cut(is_cut, limit, "newest")


def _found(reader: History, name: str, value: str, limit: int) -> tuple[str, list[JournalEntry]]:
    """What was asked about, and the entries."""
    if name == "session":
        return value, reader.of_session(value, limit)
    if name == "occurrence":
        return value, reader.of_occurrence(value, limit)
    if name == "request":
        request_id = only("request", value, reader.requests_like)
        return request_id, reader.of_request(request_id)
    like = {"cart": reader.requests_like, "entry": reader.entries_like}
    thing_id = only(name, value, like.get(name, reader.holds_like))
    return thing_id, reader.about(thing_id, limit)


def _tell_list(out: Output, entries: list[JournalEntry], thing_id: str | None, *, full: bool) -> None:
    """One thing's own id would be the same in every line, so then its column is left out."""
    columns: list[Column | str] = [
        "decided",
        Column("v", right=True),
        "request",
        "result",
        Column("what", wrap=True),
    ]
    columns += [] if thing_id is not None else ["about"]
    columns += ["session", "by"] if full else []
    rows: list[list[object]] = []
    for entry in entries:
        decided = entry.decided_at if full else f"{entry.decided_at:%m-%d %H:%M:%S}"
        kind = entry.kind if full else entry.kind.rpartition(".")[0]
        request = f"{kind} {short(entry.request_id, full=full)}"
        row: list[object] = [decided, entry.version, request, _result(entry), _what(entry, thing_id)]
        row += [] if thing_id is not None else [short(_thing_id(entry), full=full)]
        row += [entry.session_id or "", entry.app_id or ""] if full else []
        rows.append(row)
    out.table(columns, rows)


def _result(entry: JournalEntry) -> str:
    return entry.reason or entry.outcome.removeprefix("occurrence_")


def _thing_id(entry: JournalEntry) -> str | None:
    """What the request was about; for a sweep of one hold, that one. A refused basket made none."""
    if entry.hold_id is not None:
        return None if entry.reason and entry.hold_id == entry.request_id else entry.hold_id
    things = {thing_id for event in entry.events if (thing_id := id_of(event)) is not None}
    return things.pop() if len(things) == 1 else None


def _what(entry: JournalEntry, thing_id: str | None) -> str:
    """The events in words; if it is about one thing, only what is about that. Of a refusal, what it taught."""
    told = [
        in_words(event, entry.outcome) for event in entry.events if thing_id is None or is_about(event, thing_id)
    ]
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
            ("about", entry.hold_id),
            ("sent by", entry.app_id),
        ]
    )
    out.line()
    out.line("Its answer", style="bold")
    out.line(json.dumps(entry.reply, indent=2, ensure_ascii=False))
    for event in entry.events:
        out.line(f"Event {event['event_id']}", style="bold")
        out.line(json.dumps(event, indent=2, ensure_ascii=False))
