"""Products, vouchers and prices from the command line, against a database by its URL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.support.postgres import fresh_database, migrated_database

from holdgate_workers.cli import exits
from holdgate_workers.cli.main import cli

pytestmark = pytest.mark.services

PROSE = (Path(__file__).parents[2] / "docs" / "pricing.md").read_text(encoding="utf-8")
TOUR: dict[str, Any] = json.loads(re.findall(r"^```json product\n(.*?)^```$", PROSE, re.DOTALL | re.MULTILINE)[0])
QUOTES = re.findall(r"^```text quote\n(.*?)^```$", PROSE, re.DOTALL | re.MULTILINE)
ADVENT = {"code": "ADVENT-26", "percent": 12.5, "minimum": 5000, "currency": "EUR"}
ON_TUESDAY = ("--starts-at", "2026-10-06T10:00", "--on", "2026-10-01T12:00")
OCCURRENCE = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version)
VALUES ('occ-1', %s, '2026-12-23T23:30Z', '2026-12-24T01:00Z', 'active', '{"timezone": "Europe/Berlin"}', 1)"""
POOL = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
VALUES ('occ-1', 'total', 16, 0, 0, 16, 2, 3)"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture(autouse=True)
def database(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """What the commands find in their environment."""
    monkeypatch.setenv("HOLDGATE_DATABASE_URL", url)
    for name in ("HOLDGATE_AMQP_URL", "HOLDGATE_DEBUG", "HOLDGATE_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE products, vouchers, occurrences, pools, settings, settings_history")
        yield connection


def call(*arguments: str, given: object = None) -> Result:
    text = given if given is None or isinstance(given, str) else json.dumps(given)
    return CliRunner().invoke(cli, list(arguments), input=text)


def said(*arguments: str, given: object = None, code: int = exits.OK) -> Any:
    """What a command says with `--output json`."""
    result = call(*arguments, "--output", "json", given=given)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def price(*arguments: str, code: int = exits.OK) -> Any:
    return said("product", "price", "harbour-tour", *arguments, code=code)


@pytest.fixture
def tour() -> None:
    assert said("product", "put", "-", given=TOUR)["is_new"]


# --- putting and looking ----------------------------------------------------------------------------------------


def test_a_product_is_put_listed_shown_and_put_again_from_what_was_shown(tmp_path: Path) -> None:
    file = tmp_path / "tour.json"
    file.write_text(json.dumps(TOUR), encoding="utf-8")
    assert said("product", "put", str(file)) == {"product_id": "harbour-tour", "version": 1, "is_new": True}
    dearer = TOUR | {"label": "Harbour by night"}
    assert said("product", "put", "-", "--by", "bob", given=dearer)["version"] == 2
    assert said("product", "put", "-", given=said("product", "show", "harbour-tour")["definition"]) == {
        "product_id": "harbour-tour",
        "version": 2,
        "is_new": False,
    }
    (line,) = said("product", "list")["products"]
    assert (line["version"], line["definition"]["label"], line["changed_by"]) == (2, "Harbour by night", "bob")
    first = said("product", "show", "harbour-tour", "--version", "1")
    assert first["definition"]["label"] == "Harbour tour"
    assert [item["version"] for item in first["versions"]] == [2, 1]


def test_people_see_prices_and_rules_in_words(tour: None) -> None:
    text = call("product", "show", "harbour-tour").stdout
    for words in ("Europe/Berlin", "season, weekday", "every 06-15 to 09-15", "80 % or more taken", "+15.00 EUR"):
        assert words in text
    assert "adult 75.00, child 50.00" in call("product", "list").stdout


def test_a_product_that_is_not_right_is_refused_by_field_and_nothing_is_stored(tour: None) -> None:
    wrong = TOUR | {"currency": "EURO", "ticket_types": [{"key": "adult", "price": 75.5, "counts_as": "adult"}]}
    result = call("product", "put", "-", given=wrong)
    assert result.exit_code == exits.USAGE
    assert re.search(r"^currency +must be ISO 4217", result.stdout, re.MULTILINE)
    assert re.search(r"^ticket_types\[0\]\.price +must be a whole number", result.stdout, re.MULTILINE)
    assert "2 problems in <stdin>; nothing was stored." in result.stdout
    problems = said("product", "put", "-", given=TOUR | {"timezone": "Atlantis"}, code=exits.USAGE)["problems"]
    assert problems == [{"field": "timezone", "reason": "is not a known IANA zone: 'Atlantis'"}]
    for text in ("", "[]", "{", '{"product_id": "a", "product_id": "b"}'):
        assert call("product", "put", "-", given=text).exit_code == exits.USAGE
    assert said("product", "show", "harbour-tour")["version"] == 1
    assert len(said("product", "list")["products"]) == 1


def test_a_voucher_is_put_listed_and_shown() -> None:
    assert said("voucher", "put", "-", given=ADVENT) == {"code": "ADVENT-26", "version": 1, "is_new": True}
    assert said("voucher", "put", "-", given=ADVENT | {"percent": 20})["version"] == 2
    assert said("voucher", "show", "ADVENT-26", "--version", "1")["definition"]["percent"] == 12.5
    assert [item["definition"]["code"] for item in said("voucher", "list")["vouchers"]] == ["ADVENT-26"]
    assert "20 %" in call("voucher", "list").stdout
    assert "50.00 EUR" in call("voucher", "show", "ADVENT-26").stdout
    (problem,) = said("voucher", "put", "-", given={"code": "ADVENT-26"}, code=exits.USAGE)["problems"]
    assert problem["field"] == "percent"


@pytest.mark.parametrize(
    "arguments",
    [
        ("product", "show", "nothing"),
        ("product", "show", "harbour-tour", "--version", "9"),
        ("voucher", "show", "NOTHING"),
        ("product", "price", "nothing", "--ticket", "adult=1", *ON_TUESDAY),
        ("product", "price", "harbour-tour", "--ticket", "adult=1", "--at", "nowhere"),
    ],
)
def test_what_is_not_there_is_named_with_the_list_that_has_it(tour: None, arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == exits.REFUSED
    assert re.fullmatch(r"error: there is no .*; see `holdgate .*`\n", result.stderr)


def test_a_database_without_our_tables_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_database() as empty:
        monkeypatch.setenv("HOLDGATE_DATABASE_URL", empty)
        result = call("product", "list")
    assert result.exit_code == exits.SCHEMA_MISMATCH
    assert "holdgate migrate" in result.stderr


# --- prices -----------------------------------------------------------------------------------------------------


def rows(text: str) -> list[str]:
    """The lines of a quote, whatever the width of its columns."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (
            0,
            (
                "--ticket adult=2 --ticket child=1 --extra guide=1 --extra lunch=1 --payment credit_card "
                "--starts-at 2026-10-06T10:00 --on 2026-10-01T12:00"
            ),
        ),
        (1, "--ticket adult=5 --starts-at 2026-07-04T10:00 --on 2026-05-01T12:00+02:00 --share-sold 81"),
        (2, "--ticket child=1 --extra photo=3 --at occ-1 --on 2026-12-10T12:00 --voucher ADVENT-26"),
    ],
)
def test_the_worked_examples_of_the_documentation_are_what_is_said(
    tour: None, database: psycopg.Connection, number: int, arguments: str
) -> None:
    database.execute(OCCURRENCE, ["harbour-tour"])
    database.execute(POOL)
    said("voucher", "put", "-", given=ADVENT)
    result = call("product", "price", "harbour-tour", *arguments.split(), "--explain")
    assert result.exit_code == exits.OK
    assert rows(QUOTES[number]) == rows(result.stdout)[-len(rows(QUOTES[number])) :]
    brief = call("product", "price", "harbour-tour", *arguments.split())
    assert "  Price" not in brief.stdout
    assert rows(brief.stdout)[-1] == rows(QUOTES[number])[-1]


def test_an_occurrence_says_when_it_is_and_how_much_of_it_is_taken(
    tour: None, database: psycopg.Connection
) -> None:
    database.execute(OCCURRENCE, ["harbour-tour"])
    database.execute(POOL)
    found = price("--ticket", "adult=1", "--at", "occ-1")
    assert (found["outcome"], found["taken"], found["sellable"]) == ("priced", 5, 16)
    assert (found["starts_at"], found["timezone"]) == ("2026-12-23T23:30:00Z", "Europe/Berlin")
    assert found["quote"]["occurrence_id"] == "occ-1"
    steps = [step["rule"] for step in found["quote"]["lines"][0]["steps"]]
    database.execute("UPDATE pools SET held = 13, sold = 3")
    full = price("--ticket", "adult=1", "--at", "occ-1")["quote"]["lines"][0]["steps"]
    assert "demand" not in steps
    assert [step["label"] for step in full if step["rule"] == "demand"] == ["Nearly sold out +15 %"]
    assert price("--ticket", "adult=1", "--at", "occ-1", "--share-sold", "0")["taken"] == 0
    database.execute("UPDATE occurrences SET product_id = 'wine'")
    other = call("product", "price", "harbour-tour", "--ticket", "adult=1", "--at", "occ-1")
    assert other.exit_code == exits.USAGE
    assert "'wine'" in other.stderr


def test_what_was_charged_yesterday_can_be_worked_out_today(tour: None) -> None:
    asked = ("--ticket", "adult=1", *ON_TUESDAY)
    before = price(*asked)
    dearer = [ticket | {"price": 9900} for ticket in TOUR["ticket_types"]]
    said("product", "put", "-", given=TOUR | {"ticket_types": dearer})
    assert price(*asked)["quote"]["total"] > before["quote"]["total"]
    assert price(*asked, "--version", "1") == before


def test_fees_are_settings_and_count_at_once(tour: None) -> None:
    asked = ("--ticket", "adult=1", "--payment", "invoice", *ON_TUESDAY)
    call("settings", "set", "fees.platform_percent=0", 'fees.payment={"invoice": {"fixed": {"EUR": 150}}}')
    lines = price(*asked)["quote"]["lines"]
    assert [(line["kind"], line["amount"]) for line in lines[1:]] == [("payment_fee", 150)]
    listed = {row["name"]: row for row in said("settings", "list")["settings"]}
    assert listed["fees.platform_percent"]["value"] == 0
    assert listed["fees.payment"]["value"] == {"invoice": {"percent": 0, "fixed": {"EUR": 150}}}
    assert listed["fees.payment"]["default"] == {"credit_card": {"percent": 2.9, "fixed": {}}}
    again = call("settings", "get", "fees.payment").stdout.strip()
    assert (
        call("settings", "set", f"fees.payment={again}").stdout == "fees.payment: invoice 1.50 EUR (as before)\n"
    )
    wrong = call("settings", "set", "fees.platform_percent=1", 'fees.payment={"invoice": {"fixed": {"XXX": 1}}}')
    assert wrong.exit_code == exits.USAGE
    assert "fees.payment.invoice.fixed.XXX" in wrong.stderr
    assert said("settings", "get", "fees.platform_percent")["value"] == 0


def test_a_setting_that_somebody_spoilt_can_be_seen_and_mended(database: psycopg.Connection) -> None:
    database.execute("INSERT INTO settings (name, value, changed_by) VALUES ('hold.ttl_minutes', 'soon', 'eve')")
    assert said("settings", "get", "hold.ttl_minutes")["value"] == "soon"
    assert call("settings", "reset", "hold.ttl_minutes").stdout == "hold.ttl_minutes: 15 (was soon)\n"


@pytest.mark.parametrize(
    ("arguments", "what", "words"),
    [
        (("--ticket", "dog=1"), "ticket", "adult, child"),
        (("--ticket", "adult=1", "--extra", "boat=1"), "extra", "guide"),
        (("--ticket", "adult=1", "--voucher", "NOTHING"), "voucher", "holdgate voucher list"),
    ],
)
def test_what_has_no_price_is_refused_with_the_way_out(
    tour: None, arguments: tuple[str, ...], what: str, words: str
) -> None:
    refused = price(*arguments, *ON_TUESDAY, code=exits.REFUSED)
    assert refused["outcome"] == "unpriced"
    assert [problem["what"] for problem in refused["problems"]] == [what]
    text = call("product", "price", "harbour-tour", *arguments, *ON_TUESDAY)
    assert text.exit_code == exits.REFUSED
    assert words in text.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--ticket", "adult=1"),
        ("--ticket", "adult=1", "--at", "occ-1", "--starts-at", "2030-05-01T10:00"),
        ("--ticket", "adult=1", "--at", "occ-1", "--timezone", "Europe/Rome"),
        ("--ticket", "adult=1", "--starts-at", "2030-05-01T10:00", "--timezone", "Atlantis"),
        ("--ticket", "adult=1", "--starts-at", "0001-01-01"),
        ("--ticket", "adult=1", "--starts-at", "2030-05-01T10:00", "--on", "9999-12-31T23:59"),
        ("--ticket", "adult=1", "--ticket", "adult=2", *ON_TUESDAY),
        ("--ticket", "adult=0", *ON_TUESDAY),
        ("--ticket", "adult=1", "--share-sold", "101", *ON_TUESDAY),
    ],
)
def test_a_wrong_call_says_what_would_be_right(tour: None, arguments: tuple[str, ...]) -> None:
    result = call("product", "price", "harbour-tour", *arguments)
    assert result.exit_code == exits.USAGE
    assert "Error: " in result.stderr
