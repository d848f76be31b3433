"""`holdgate dlq`: dead letters, what became of them, and sending them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import example, limit_option

from .forecast import Fate, fates, follow
from .masking import MASK, masked_body, masked_text, printable

if TYPE_CHECKING:
    from holdgate_workers.app.ports import DeadLetter, Outgoing

ALL = 1_000_000
SHORT_CHARS = 12
ID_PART_CHARS = 6


@click.group()
def dlq() -> None:
    """Look at dead letters and replay them. A letter is named by its id or its first 6 or more characters.

    A request dies if it cannot be read or if deciding it raises a fault, never because the answer is no. Client
    addresses and the like are masked unless you say --reveal.
    """


@dlq.command(name="list", epilog=example("holdgate dlq list", "holdgate dlq list --limit 500 --output json"))
@limit_option(50)
@click.option("--reveal", is_flag=True, help="Show personal data too (JSON only).")
@output_option
@pass_access
def list_(access: Access, limit: int, reveal: bool, out: Output) -> None:
    """The dead letters, the oldest first, each with what a replay would come to."""
    letters = access.dead_letters().list(limit)
    known = fates(access, letters)
    if out.is_json:
        rows = [_fields(letter, fate, reveal=reveal) for letter, fate in zip(letters, known, strict=True)]
        out.json({"letters": rows, "is_cut": access.dead_letters().count() > len(letters)})
        return
    if not letters:
        out.line("There are no dead letters.", style="green")
        return
    width = 100 if out.is_plain else SHORT_CHARS
    out.table(
        [
            "id",
            "died",
            "reason",
            Column("detail", wrap=True),
            Column("replays", right=True),
            Column("a replay", wrap=True),
        ],
        [
            (
                letter.id[:width],
                letter.died_at[5:16].replace("T", " "),
                letter.reason,
                _said(letter.detail),
                letter.replays,
                fate.text,
            )
            for letter, fate in zip(letters, known, strict=True)
        ],
    )
    total = access.dead_letters().count()
    if total > len(letters):
        click.echo(f"the oldest {len(letters)} of {total}; --limit shows more", err=True)


@dlq.command(epilog=example("holdgate dlq show 42", "holdgate dlq show 42 --reveal"))
@click.argument("letter_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show personal data too.")
@output_option
@pass_access
def show(access: Access, letter_id: str, reveal: bool, out: Output) -> None:
    """One dead letter with its body and its headers."""
    found = _named(access.dead_letters().list(ALL), letter_id)
    if not found:
        raise Failure(f"there is no dead letter {letter_id!r}; see `holdgate dlq list`", exits.REFUSED)
    known = fates(access, found)
    if out.is_json:
        rows = [_fields(letter, fate, reveal=reveal) for letter, fate in zip(found, known, strict=True)]
        out.json({"letters": rows})
        return
    for letter, fate in zip(found, known, strict=True):
        _tell_letter(out, letter, fate, reveal=reveal)


def _tell_letter(out: Output, letter: DeadLetter, fate: Fate, *, reveal: bool) -> None:
    fields = _fields(letter, fate, reveal=reveal)
    names = ("id", "reason", "detail", "died_at", "partition", "routing_key", "message_id", "app_id", "replays")
    out.details([*((name.replace("_", " "), fields[name]) for name in names), ("a replay", fate.text)])
    headers = fields["headers"]
    assert isinstance(headers, dict)
    if headers:
        out.details(sorted(headers.items()), title="Headers")
    if letter.oversized is None:
        out.line("Body", style="bold")
    else:
        out.line(f"The first {len(letter.body)} of {letter.oversized.size_bytes} bytes", style="bold")
    body = str(fields["body"])
    try:
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        body = printable(body)
    out.line(body)


@dlq.command(epilog=example("holdgate dlq replay 42", "holdgate dlq replay --all --limit 100 --yes"))
@click.argument("letter_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="All of them, the oldest first.")
@click.option("--limit", type=click.IntRange(1), help="With --all: at most so many.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, 600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for what they come to.",
)
@output_option
@pass_access
def replay(
    access: Access,
    letter_id: str | None,
    everything: bool,
    limit: int | None,
    yes: bool,
    wait_seconds: float,
    out: Output,
) -> None:
    """Send dead letters again, under their own request ids, and say what they came to.

    Safe to run twice: a request id is decided once, and a letter that was replayed is no longer there.
    """
    if (letter_id is None) == (not everything):
        raise click.UsageError("give the ID of one letter, or --all")
    if limit is not None and not everything:
        raise click.UsageError("--limit goes with --all")
    chosen = _chosen(access, letter_id, limit)
    if not chosen:
        _nothing(out, letter_id)
        return
    if not yes:
        _preview(chosen, fates(access, chosen))
        click.confirm("Send again?", abort=True, err=True)
    replayed = _replay(access, chosen)
    results = follow(access, replayed, wait_seconds)
    _tell_replayed(out, len(chosen), replayed, results)


def _chosen(access: Access, letter_id: str | None, limit: int | None) -> Sequence[DeadLetter]:
    letters = access.dead_letters().list(limit or ALL)
    return letters if letter_id is None else _named(letters, letter_id)


def _named(letters: Sequence[DeadLetter], letter_id: str) -> Sequence[DeadLetter]:
    """Those with this id; if there are none, those whose id begins so, as long as that is one id."""
    found = [letter for letter in letters if letter.id == letter_id]
    if found:
        return found
    like = [letter for letter in letters if len(letter_id) >= ID_PART_CHARS and letter.id.startswith(letter_id)]
    ids = {letter.id for letter in like}
    if len(ids) > 1:
        raise Failure(f"several letters begin with {letter_id!r}: {', '.join(sorted(ids))}", exits.REFUSED)
    return like


def _replay(access: Access, chosen: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Only what was shown is sent: letters that died since then were not agreed to."""
    from holdgate_workers.app.dead_letters.replay import replayable

    wanted = {_identity(letter) for letter in chosen}

    def choose(letter: DeadLetter) -> Outgoing | None:
        whole = letter.oversized is None  # a request that begins like it would be another one
        return replayable(letter) if whole and _identity(letter) in wanted else None

    return access.dead_letters().replay(choose, ALL)


def _identity(letter: DeadLetter) -> tuple[str, str, int]:
    return letter.id, letter.died_at, letter.replays


def _nothing(out: Output, letter_id: str | None) -> None:
    if letter_id is not None:
        raise Failure(
            f"there is no dead letter {letter_id!r} (replayed already?); see `holdgate dlq list`", exits.REFUSED
        )
    if out.is_json:
        out.json({"chosen": 0, "replayed": 0, "letters": []})
    else:
        out.line("There are no dead letters: nothing to replay.", style="green")


def _preview(letters: Sequence[DeadLetter], known: Sequence[Fate]) -> None:
    counts: dict[str, int] = {}
    for fate in known:
        counts[fate.text] = counts.get(fate.text, 0) + 1
    click.echo(f"{len(letters)} to replay:", err=True)
    for text, number in sorted(counts.items(), key=lambda item: -item[1])[:10]:
        click.echo(f"  {number:>5} × {text}", err=True)


def _tell_replayed(out: Output, chosen: int, replayed: Sequence[DeadLetter], results: Sequence[Fate]) -> None:
    if out.is_json:
        rows = [
            {"id": letter.id, "request_id": fate.request_id, "state": fate.state, "result": fate.text}
            for letter, fate in zip(replayed, results, strict=True)
        ]
        out.json({"chosen": chosen, "replayed": len(replayed), "letters": rows})
    else:
        out.table(
            ["id", Column("what it came to", wrap=True)],
            [
                (letter.id if out.is_plain else letter.id[:SHORT_CHARS], fate.text)
                for letter, fate in zip(replayed, results, strict=True)
            ],
        )
        out.line(
            f"{len(replayed)} of {chosen} sent again.",
            style="bold green" if len(replayed) == chosen else "bold yellow",
        )
    if len(replayed) < chosen:
        raise Failure(
            f"{chosen - len(replayed)} stayed: their body was not kept, no queue took them, or somebody else replayed "
            "them",
            exits.REFUSED,
        )


def _fields(letter: DeadLetter, fate: Fate, *, reveal: bool) -> dict[str, Any]:
    properties = letter.properties
    return {
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail if reveal else _said(letter.detail),
        "died_at": letter.died_at,
        "partition": letter.partition,
        "routing_key": letter.routing_key,
        "replays": letter.replays,
        "request_id": fate.request_id,
        "message_id": properties.message_id,
        "app_id": properties.app_id,
        "state": fate.state,
        "forecast": fate.text,
        "headers": letter.headers
        if reveal
        else {name: _header(name, value) for name, value in letter.headers.items()},
        "body_bytes": len(letter.body) if letter.oversized is None else letter.oversized.size_bytes,
        "body_sha256": None if letter.oversized is None else letter.oversized.sha256,
        "body": letter.body.decode(errors="replace") if reveal else masked_body(letter.body),
    }


def _said(text: str) -> str:
    return masked_text(printable(text))


def _header(name: str, value: object) -> object:
    """Upstream's own headers may say anything; those about proxies are addresses by nature."""
    if "forwarded" in name.lower() or "address" in name.lower():
        return MASK
    return masked_text(printable(value)) if isinstance(value, str) else value
