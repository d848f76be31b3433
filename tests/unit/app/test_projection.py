"""The projection's protocol: the cursor moves only behind what the cache has taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.support.domain import House, a_put

from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.projection.effects import (
    BeginGeneration,
    CacheState,
    CacheUnavailable,
    Lag,
    LookAtCache,
    MarkFresh,
    ReadLag,
    ReadPage,
    ReadRows,
    ReadTouched,
    Superseded,
    Touched,
    WriteEntries,
    Written,
)
from holdgate_workers.app.projection.entries import KEPT_AFTER_END, ProductTotals, Rows, entries_of, rules_of
from holdgate_workers.app.projection.projector import Projected, Projector
from holdgate_workers.app.relay.relay import Advance, Position
from holdgate_workers.domain.settings.settings import Settings

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
START, END = Position(7, 1), Position(9, 4)
RULES = rules_of(Settings())
SOME = CacheState("g1", "home")


def rows(*ids: str) -> Rows:
    house = House()
    for name in ids:
        house.put(a_put(name))
    return Rows(NOON, Settings(), {name: house.occurrences[name] for name in ids}, last=ids[-1])


def totals(product_id: str) -> Rows:
    sums = ProductTotals(
        product_id=product_id,
        version=1,
        decided_at=NOON,
        occurrences=1,
        capacity=1,
        sellable=1,
        held=0,
        sold=0,
        available=1,
    )
    return Rows(NOON, Settings(), {}, {product_id: sums}, last=product_id)


class World:
    """Answers effects, the last answers of a kind for ever, and writes down what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "ReadTouched": Touched(START, END, ["a"]),
            "LookAtCache": SOME,
            "BeginGeneration": True,
            "ReadRows": rows("a"),
            "ReadPage": Rows(NOON, Settings()),
            "WriteEntries": Written(1, 0),
            "Advance": True,
            "ReadLag": Lag(0.0, RULES),
            "MarkFresh": True,
        } | answers
        self.asked: list[Any] = []
        self.time = 0.0
        self.projector = Projector("home", lambda: self.time, lambda: "g2")
        self.projector._filled = ("g1", RULES)

    def round(self) -> Projected:
        protocol = self.projector.round()
        self.asked = []
        try:
            effect = next(protocol)
            while True:
                self.asked.append(effect)
                self.time += 0.25
                answer = self.answers[type(effect).__name__]
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                effect = protocol.send(answer(effect) if isinstance(answer, Callable) else answer)  # type: ignore[arg-type]
        except StopIteration as done:
            told: Projected = done.value
            return told

    @property
    def kinds(self) -> list[type[Any]]:
        return [type(effect) for effect in self.asked]


def test_what_the_journal_touched_is_written_and_then_the_cursor_moves() -> None:
    world = World(ReadTouched=Touched(START, END, ["a", "a"]))
    told = world.round()
    assert world.kinds == [ReadTouched, LookAtCache, ReadRows, WriteEntries, Advance, ReadLag, MarkFresh]
    assert world.asked[2].occurrences == ["a"], "once, however often it was touched"
    assert world.asked[4] == Advance(START, END)
    assert (told.rows, told.written, told.failure) == (2, 1, None)


def test_the_cursor_stays_while_the_cache_is_away_at_any_step() -> None:
    for step in ("LookAtCache", "WriteEntries"):
        world = World(**{step: CacheUnavailable("gone")})
        assert world.round().failure == "cache"
        assert Advance not in world.kinds
    world = World(LookAtCache=CacheState(), BeginGeneration=CacheUnavailable("gone"))
    assert world.round().failure == "cache"
    assert Advance not in world.kinds


def test_a_database_that_is_away_is_told_not_raised() -> None:
    for step in ("ReadTouched", "ReadRows", "ReadLag"):
        assert World(**{step: Unavailable("gone")}).round().failure == "database"
    assert World(Advance=False).round().failure == "database"


def test_who_has_no_right_to_the_cursor_touches_nothing() -> None:
    world = World(ReadTouched=Touched(Position(), Position(), mine=False))
    assert world.round().standby
    assert world.kinds == [ReadTouched]


def test_another_houses_cache_is_left_alone() -> None:
    world = World(LookAtCache=CacheState("g1", "elsewhere"))
    assert world.round().failure == "foreign"
    assert world.kinds == [ReadTouched, LookAtCache]


def test_what_time_alone_has_changed_is_written_without_moving_the_cursor() -> None:
    world = World(ReadTouched=Touched(START, START), LookAtCache=CacheState("g1", "home", due=["a"]))
    assert world.round().written == 1
    assert Advance not in world.kinds


def test_a_lost_cache_gets_a_generation_and_is_filled_to_the_end_before_it_counts_as_fresh() -> None:
    world = World(
        ReadTouched=Touched(START, START),
        LookAtCache=[CacheState(), CacheState("g2", "home")],
        ReadPage=[rows("a", "b"), Rows(NOON, Settings()), totals("p"), Rows(NOON, Settings())],
    )
    filling = [world.round().filling for _ in range(4)]
    assert filling == [True, True, True, False]
    assert world.kinds == [ReadTouched, LookAtCache, ReadLag, ReadPage, MarkFresh]
    assert world.asked[-1].generation == "g2"


def test_filling_begins_again_when_the_cache_is_lost_meanwhile() -> None:
    world = World(
        ReadTouched=Touched(START, START),
        LookAtCache=[CacheState("g1", "home"), CacheState("g1", "home"), CacheState(), CacheState("g2", "home")],
        ReadPage=lambda effect: rows("a", "b") if effect.after < "b" else rows("c"),
    )
    world.projector._filled = None
    after = []
    for _ in range(3):
        world.round()
        after += [effect.after for effect in world.asked if isinstance(effect, ReadPage)]
    assert after == ["", "b", ""]


def test_other_rules_of_the_house_fill_it_again() -> None:
    world = World(ReadLag=Lag(0.0, "other rules"), ReadPage=rows("b"))
    assert world.round().filling
    assert ReadPage in world.kinds
    assert MarkFresh not in world.kinds


def test_a_generation_that_somebody_else_has_replaced_is_told() -> None:
    world = World(WriteEntries=Superseded())
    assert world.round().failure == "superseded"
    assert Advance not in world.kinds


def test_the_products_that_an_occurrence_left_are_summed_again() -> None:
    world = World(
        ReadRows=[rows("a"), totals("old")], WriteEntries=[Written(1, 0, ["old", "empty"]), Written(1, 0)]
    )
    world.round()
    again = [effect for effect in world.asked if isinstance(effect, ReadRows)][1]
    assert (again.occurrences, again.products) == ((), ["old", "empty"])
    written = [effect for effect in world.asked if isinstance(effect, WriteEntries)][1]
    assert [entry.id for entry in written.entries] == ["old"]
    assert written.gone == [("product", "empty")]


def test_an_occurrence_without_rows_is_removed() -> None:
    world = World(ReadTouched=Touched(START, END, ["ghost"]), ReadRows=Rows(NOON, Settings()))
    world.round()
    assert next(effect for effect in world.asked if isinstance(effect, WriteEntries)).gone == [
        ("availability", "ghost")
    ]


def test_the_mark_counts_from_before_the_question_and_from_the_oldest_row_that_waits() -> None:
    world = World(ReadLag=Lag(3.0, RULES))
    assert world.round().lag_seconds == 3.0
    assert world.asked[-1] == MarkFresh("g1", 3.25, 0)


def test_a_process_that_begins_to_work_fills_what_it_finds() -> None:
    world = World(ReadPage=rows("b"))
    world.projector._filled = None
    assert world.round().filling
    assert MarkFresh not in world.kinds


def test_after_standing_by_it_is_filled_again() -> None:
    page = Touched(START, END, ["a"])
    world = World(ReadTouched=[page, Touched(START, START, mine=False), page], ReadPage=rows("b"))
    assert [world.round().filling for _ in range(3)] == [False, False, True]


def test_a_cache_without_the_last_writes_gets_a_new_generation_and_is_filled() -> None:
    world = World(
        LookAtCache=[SOME, CacheState("g1", "home", writes=7), CacheState("g1", "home", writes=6)],
        WriteEntries=[Written(1, 0, number=7)],
        ReadPage=rows("b"),
    )
    assert [world.round().filling for _ in range(3)] == [False, False, True]
    assert world.asked[2] == BeginGeneration("g2", "home", replace=True)


def test_it_is_not_called_fresh_without_the_last_write() -> None:
    world = World(WriteEntries=Written(1, 0, number=7), MarkFresh=Superseded())
    assert world.round().failure == "superseded"
    assert world.asked[-1].writes == 7


def test_begin_names_the_house() -> None:
    world = World(LookAtCache=CacheState())
    world.round()
    assert world.asked[2] == BeginGeneration("g2", "home")
    assert ReadLag in world.kinds


# --- entries ----------------------------------------------------------------------------------------------------


def test_an_entry_is_true_until_the_next_thing_that_time_alone_changes() -> None:
    house = House()
    house.put(a_put("a", sales_open=datetime(2026, 6, 2, 10), cutoff_minutes=60))  # noqa: DTZ001 - a wall time
    occurrence = house.occurrences["a"]
    definition = occurrence.definition
    assert definition.opens_at is not None

    def true_until(now: datetime) -> datetime | None:
        return entries_of(Rows(now, Settings(), {"a": occurrence}))[0].true_until

    assert true_until(NOON) == definition.opens_at
    assert true_until(definition.opens_at) == definition.closes_at
    assert true_until(definition.closes_at) == definition.starts_at
    assert true_until(definition.starts_at) is None


def test_an_entry_is_kept_for_some_days_after_the_end() -> None:
    read = rows("a")
    (entry,) = entries_of(read)
    assert entry.kept_until == read.occurrences["a"].definition.ends_at + KEPT_AFTER_END
