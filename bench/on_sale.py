"""An on-sale: everybody at once for a few seats. How long it takes, and whether the first to come are served."""

from __future__ import annotations

from .load import a_place, an_occurrence
from .open_loop import Answered
from .open_loop import run as run_open_loop
from .place import fresh_place
from .processes import children
from .result import Options, Result, Row, shown

OCCURRENCE = "bench-on-sale"
REQUESTS = 100_000
SEATS = 1_000
HELD = "answer.held.v1"
STEPS = 400


def run(options: Options) -> Result:
    """Repeated; there is no target but the order, which is exact or wrong."""
    requests = options.requests or REQUESTS
    rows, curve = [], {}
    for _ in range(options.pairs):
        answered = on_sale(requests)
        rows.append(_figures(answered))
        curve = _curve(answered)
        print("  ".join(f"{name} {shown(value)}" for name, value in rows[-1].items()), flush=True)
    return Result({"requests": requests, "seats": SEATS}, rows, series=curve)


def on_sale(requests: int) -> list[Answered]:
    """One ticket each, all wanted at the same moment; the broker sets the pace at which they come in."""
    with fresh_place() as place, children() as started:
        place.prepare([an_occurrence(OCCURRENCE, SEATS)])
        started.append(place.gate().begin())
        commands = [a_place(number, OCCURRENCE, {"adult": 1}) for number in range(requests)]
        answered = run_open_loop(place.amqp_url, commands, [0.0] * requests).answered
        [(held,)] = place.query("SELECT held FROM pools WHERE key = 'total'")
    granted = sum(answer.kind == HELD for answer in answered)
    assert granted == held == min(SEATS, requests), f"{granted} granted, {held} in the rows, {SEATS} seats"
    return answered


def _figures(answered: list[Answered]) -> Row:
    """`answered` is in the order of arrival, so whoever was granted a seat should stand before the rest."""
    granted = [place for place, answer in enumerate(answered) if answer.kind == HELD]
    sold_out = max(answered[place].at for place in granted)
    last = max(answer.at for answer in answered)
    return {
        "sold_out_seconds": sold_out,
        "last_answer_seconds": last,
        "answers_per_second": len(answered) / last,
        "granted_out_of_turn": float(sum(place >= len(granted) for place in granted)),
    }


def _curve(answered: list[Answered]) -> dict[str, list[float]]:
    """How many had been granted, and answered, by when."""
    granted = sorted(answer.at for answer in answered if answer.kind == HELD)
    everybody = sorted(answer.at for answer in answered)
    return {"granted_at_seconds": granted, "answered_at_seconds": everybody[:: max(1, len(everybody) // STEPS)]}
