"""The command line: which commands there are. Nothing may import this but the two front doors."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import click

from . import exits
from .access import Access
from .lazy import LazyGroup

SECTIONS = {
    "Run it": [
        ("up", "Run everything in this terminal; needs nothing but Python."),
        ("worker", "Run one role as a process of its own, such as gate or expiry."),
        ("migrate", "Bring the database and the queues up to date."),
        ("doctor", "Check every dependency and say how to mend what is wrong."),
        ("installation", "Which installation this is, and whose broker and Redis are."),
    ],
    "Catalogue and holds": [
        ("occurrence", "Put, import, list, show, close; set capacity."),
        ("product", "Put, list and show what is sold; say what a basket costs."),
        ("voucher", "Put, list and show vouchers."),
        ("calendar", "The occurrences of a product for calendar programs."),
        ("hold", "Place, change, extend, release, show."),
        ("availability", "What could be held right now."),
    ],
    "Sell": [
        ("quote", "What a basket costs, without holding it."),
        ("booking", "Convert, cancel, show, list; resolve what is parked."),
        ("cart", "Baskets of several occurrences, all or nothing."),
        ("waitlist", "Lines for what is sold out."),
    ],
    "Look": [
        ("history", "What happened to a hold, session, request or occurrence."),
        ("stats", "How full everything is, and how holds end."),
    ],
    "Operate": [
        ("settings", "Look at the settings and change them at run time."),
        ("expiry", "Go on after the database's clock jumped."),
        ("projection", "The read side in Redis: fill it again, compare it with the rows."),
        ("dlq", "Look at dead letters and replay them."),
        ("task", "Look at what follows from decisions, retry what is dead."),
        ("notice", "What became of mails, webhooks and analytics events."),
        ("contract", "Print the published contract: AsyncAPI, schemas, slots, topology."),
    ],
    "See it work": [
        ("demo", "A season and its on-sale night, with nothing but Python."),
        ("simulate", "Many clients on one occurrence, and the proof from the rows."),
    ],
}

WHERE = {
    "up": "running.up",
    "worker": "running.worker",
    "migrate": "running.migrate",
    "doctor": "doctor.doctor",
    "installation": "running.installation",
    "occurrence": "occurrences.occurrence",
    "product": "pricing.product",
    "voucher": "pricing.voucher",
    "calendar": "occurrences.calendar",
    "hold": "holds.hold",
    "availability": "occurrences.availability",
    "quote": "pricing.quote",
    "booking": "bookings.booking",
    "cart": "carts.cart",
    "waitlist": "waitlist.waitlist",
    "history": "holds.history",
    "stats": "reports.stats",
    "settings": "running.settings",
    "expiry": "expiry.expiry",
    "projection": "projection.projection",
    "dlq": "dead_letters.dlq",
    "task": "tasks.task",
    "notice": "notifications.notice",
    "contract": "reports.contract",
    "demo": "demo.demo",
    "simulate": "demo.simulate",
}

EPILOG = "\b\nExamples:\n" + "\n".join(
    [
        "  holdgate up",
        "  holdgate occurrence put occ-1 --product tour --starts 2030-05-01T10:00 \\",
        "      --duration 90 --timezone Europe/Rome --capacity 12 --ticket adult --ticket child",
        "  holdgate hold place occ-1 adult=2 child=1 --session cart-17",
        "  holdgate doctor",
        "",
        "\b",
        "Exit codes:",
        *(f"  {code:>2}  {meaning}" for code, meaning in exits.MEANINGS.items()),
        "",
        "HOLDGATE_DATABASE_URL and HOLDGATE_AMQP_URL say where PostgreSQL and RabbitMQ are. Without",
        "them everything is embedded in one data folder.",
    ]
)


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    where=WHERE,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("holdgate"), prog_name="holdgate")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the embedded database lives (HOLDGATE_DATA_DIR; default: .holdgate).",
)
@click.pass_context
def cli(ctx: click.Context, data_dir: Path | None) -> None:
    """Takes booking holds without ever overselling."""
    ctx.obj = Access(data_dir)
