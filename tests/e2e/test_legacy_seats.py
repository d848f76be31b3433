"""Defects of the old engine about who gets which seats, each with its number, on the whole gate with two workers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from tests.support.events import EventTap
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.requests import occurrences_in, place_of, put, put_of
from tests.support.site import PARTITIONS, TestSite

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import (
    Answer,
    Availability,
    Changed,
    Held,
    OccurrenceStored,
    Reason,
    Refused,
    Released,
)
from holdgate_schema.commands.holds import ChangeHold, ExtraDefinition, SharedStock
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services


def reasons(answers: Sequence[Answer]) -> Counter[str]:
    """How often each outcome came, a refusal by its reason."""
    return Counter(a.reason.value if isinstance(a, Refused) else type(a).__name__ for a in answers)


def test_b1_two_hundred_publishers_share_the_seats_of_all_ticket_types(house: TestSite) -> None:
    """Each has a connection of its own; adults, children and seniors draw on the same seats, and the last two on a
    cap of their own."""
    publishers = 200 if house.kind == "rabbit" else 30  # there each is a database connection
    put(house.client(), "b1", publishers, kids=publishers // 4)
    baskets = [{"adult": 1}, {"child": 1}, {"senior": 2}, {"adult": 2, "child": 1}]
    clients = [house.client(f"publisher-{n}") for n in range(publishers)]
    for client in clients:
        client.wait_connected(30)
    futures = [client.send(place_of("b1", baskets[n % 4])) for n, client in enumerate(clients)]
    outcomes = reasons([future.result() for future in futures])
    for client in clients:
        client.close()
    assert outcomes.keys() == {"Held", "sold_out"}
    assert 0 < house.held("b1") <= publishers
    assert house.held("b1", "concession") <= publishers // 4
    assert Books(house.database_url).problems() == []


def test_b2_a_ticket_that_the_occurrence_does_not_sell_takes_no_seat(
    client: BookingClient, house: TestSite
) -> None:
    put(client, "b2", 10)
    answer = client.place("b2", {"adult": 1, "vip": 1})
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.UNKNOWN_TICKET
    assert house.held("b2") == 0


def test_b7_fifty_parallel_holds_of_one_session_on_fifty_occurrences_grant_exactly_the_limit(
    client: BookingClient, house: TestSite
) -> None:
    """The occurrences lie in all partitions, which two workers share; a full session may still change a hold."""
    ids = [i for partition in occurrences_in(PARTITIONS, 13, "b7").values() for i in partition][:50]
    house.wait_lines()
    for answer in [f.result() for f in client.send_many([put_of(i, 5) for i in ids])]:
        assert isinstance(answer, OccurrenceStored)
    answers = [f.result() for f in client.send_many([place_of(i, session_id="b7-ann") for i in ids])]
    assert reasons(answers) == {"Held": 10, "limit_per_session": 40}
    held = next(a for a in answers if isinstance(a, Held))
    changed = client.change(held.occurrence_id, "b7-ann", held.hold.hold_id, {"adult": 3})
    assert isinstance(changed, Changed)
    assert isinstance(client.release(held.occurrence_id, "b7-ann", held.hold.hold_id), Released)
    refused = next(a for a in answers if isinstance(a, Refused))
    assert isinstance(client.place(refused.occurrence_id, {"adult": 1}, session_id="b7-ann"), Held)


def test_b14_nobody_else_can_release_a_hold_and_nothing_is_told(
    client: BookingClient, house: TestSite, events: EventTap
) -> None:
    """No seat moves, no event; and the answer does not betray that the hold exists."""
    put(client, "b14", 10)
    held = client.place("b14", {"adult": 2}, session_id="b14-ann")
    assert isinstance(held, Held)
    foreign = client.release("b14", "b14-bob", held.hold.hold_id)
    unknown = client.release("b14", "b14-bob", new_request_id())
    assert isinstance(foreign, Refused)
    assert isinstance(unknown, Refused)
    assert foreign.reason is unknown.reason is Reason.HOLD_NOT_FOUND
    assert house.held("b14") == 2
    assert isinstance(client.release("b14", "b14-ann", held.hold.hold_id), Released)
    final = client.release("b14", "b14-ann", held.hold.hold_id)
    assert isinstance(final, Refused)
    assert final.reason is Reason.HOLD_FINAL
    eventually(lambda: events.ends(held.hold.hold_id), "the release is told")
    assert events.ends(held.hold.hold_id) == ["hold.released.v1"]


def test_b25_an_observer_never_sees_a_part_of_a_basket(client: BookingClient, house: TestSite) -> None:
    """At every moment each pool's counter is the sum of whole baskets, whatever is being placed and changed."""
    put(client, "b25", 10_000, kids=10_000)
    stop = threading.Event()
    seen: list[tuple[int, int, int, int]] = []

    def observe() -> None:
        with psycopg.connect(house.database_url, autocommit=True) as connection:
            while not stop.is_set():
                row = connection.execute(
                    "SELECT t.held, c.held, "
                    "(SELECT coalesce(sum(seats), 0) FROM holds WHERE occurrence_id = 'b25' AND state = 'active'), "
                    "(SELECT count(*) FROM holds WHERE occurrence_id = 'b25' AND state = 'active' "
                    "  AND (basket->'items'->>'adult')::int <> (basket->'items'->>'child')::int) "
                    "FROM pools t, pools c WHERE t.occurrence_id = 'b25' AND t.key = 'total' "
                    "AND c.occurrence_id = 'b25' AND c.key = 'concession'"
                ).fetchone()
                assert row is not None
                seen.append((row[0], row[1], int(row[2]), row[3]))

    with ThreadPoolExecutor(1) as pool:
        observer = pool.submit(observe)
        for size in (1, 2, 3):
            baskets = [place_of("b25", {"adult": size, "child": size}) for _ in range(100)]
            held = [f.result() for f in client.send_many(baskets)]
            changes = [
                ChangeHold(
                    request_id=new_request_id(),
                    occurrence_id="b25",
                    session_id=answer.hold.session_id,
                    hold_id=answer.hold.hold_id,
                    items={"adult": size + 1, "child": size + 1},
                )
                for answer in held
                if isinstance(answer, Held)
            ]
            assert reasons([f.result() for f in client.send_many(changes)]) == {"Changed": len(changes)}
        stop.set()
        observer.result()
    assert len({total for total, *_ in seen}) > 3, "the observer was there while it happened"
    assert [row for row in seen if not (row[0] == row[2] == 2 * row[1] and row[3] == 0)] == []


def test_b26_fifty_parallel_puts_of_one_start_store_one_occurrence(client: BookingClient, house: TestSite) -> None:
    """One product has one occurrence at one time, whatever ids it is asked for under, in whatever partition; nobody
    can hold on the others."""
    model = put_of("b26", 10, product_id="b26-tour")
    puts = [put_of(f"b26-{n}", 10, product_id="b26-tour", starts_at=model.starts_at) for n in range(50)]
    answers = [f.result() for f in client.send_many(puts)]
    assert reasons(answers) == {"OccurrenceStored": 1, "invalid": 49}
    stored = next(a.occurrence_id for a in answers if isinstance(a, OccurrenceStored))
    assert house.rows("SELECT id FROM occurrences WHERE product_id = 'b26-tour'") == [(stored,)]
    others = [f"b26-{n}" for n in range(50) if f"b26-{n}" != stored]
    assert reasons([f.result() for f in client.send_many([place_of(i) for i in others])]) == {
        "unknown_occurrence": 49
    }


def test_b28_two_occurrences_in_two_partitions_compete_for_the_last_unit_of_a_stock(
    client: BookingClient, house: TestSite
) -> None:
    """Time and again, with two workers: always exactly one gets it."""
    lots = occurrences_in(PARTITIONS, 15, "b28")
    house.wait_lines()
    first = lots[0]
    second = next(ids for ids in lots.values() if house.line_of(ids[0])[0] is not house.line_of(first[0])[0])
    for number, ids in enumerate(zip(first, second, strict=True)):
        stock = SharedStock(key=f"b28-audio-{number}", cap=1)
        for occurrence_id in ids:
            put(client, occurrence_id, 10, extras=[ExtraDefinition(key="audio", stock=stock)])
        answers = [f.result() for f in client.send_many([place_of(i, extras={"audio": 1}) for i in ids])]
        assert reasons(answers) == {"Held": 1, "sold_out": 1}
        assert house.value("SELECT used FROM shared_limits WHERE scope = 'stock' AND key = %s", stock.key) == 1


def test_b35_a_stale_look_at_the_seats_does_not_sell_them(client: BookingClient, house: TestSite) -> None:
    put(client, "b35", 2)
    seen = client.availability("b35")
    assert isinstance(seen, Availability)
    assert seen.pools["total"].available == 2
    assert isinstance(client.place("b35", {"adult": 2}), Held)
    refused = client.place("b35", {"adult": seen.pools["total"].available})
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.SOLD_OUT
    assert refused.available == {"total": 0}
    assert refused.held == {"total": 2}
    assert refused.version > seen.version
