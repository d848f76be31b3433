"""A JSON document becomes a typed value, or every problem in it is named by its field."""

from __future__ import annotations

from typing import Any

import pytest

from holdgate_workers.domain.documents import InvalidDocument, decoded
from holdgate_workers.domain.pricing.definitions.reading import read_product, read_voucher

ADULT = {"key": "adult", "price": 7500, "counts_as": "adult"}
GOOD: dict[str, Any] = {
    "product_id": "tour",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "ticket_types": [ADULT],
}


def problems(document: object) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        read_product(document)
    return {error.field: error.reason for error in caught.value.errors}


def test_all_problems_of_a_document_are_told_together() -> None:
    """One round is enough to put them right, however deep they stand."""
    document = GOOD | {
        "type": "product.put.v2",
        "currency": 978,
        "lable": "Tour",
        "ticket_types": [ADULT | {"price": 75.0}, {"key": "child", "counts_as": "dog"}],
        "rules": {
            "minimum_total": -1,
            "early_bird": {"days_before": 0, "discount_percent": 15},
            "seasons": [{"label": "High", "percent": 5, "days": {"dates": ["2030-02-30"]}}],
        },
    }
    assert set(problems(document)) == {
        "type",
        "currency",
        "lable",
        "ticket_types[0].price",
        "ticket_types[1].counts_as",
        "ticket_types[1].price",
        "rules.minimum_total",
        "rules.early_bird.days_before",
        "rules.seasons[0].days.dates[0]",
    }


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"type": "voucher.put.v1"}, "type", "must be 'product.put.v1', or be left out"),
        ({"colour": 1}, "colour", "is not known here; there are: product_id, currency, timezone"),
        ({"co\x1blour": 1}, "'co\\x1blour'", "is not known here"),
        ({"product_id": "a b"}, "product_id", "must be visible characters without blanks, not 'a b'"),
        ({"currency": "eur"}, "currency", "must be ISO 4217, such as EUR, not 'eur'"),
        (
            {"label": "two\nlines"},
            "label",
            "must be text on one line, without control characters, not 'two\\nlines'",
        ),
        ({"label": "x" * 101}, "label", "must be `str` of length <= 100, not 'xxxxxxx"),
        ({"ticket_types": []}, "ticket_types", "must be `array` of length >= 1, not []"),
        ({"ticket_types": {}}, "ticket_types", "must be a list"),
        ({"ticket_types": [ADULT | {"key": "Adult"}]}, "ticket_types[0].key", "must be 1 to 50 of a-z, 0-9"),
        (
            {"ticket_types": [ADULT | {"price": 75.5}]},
            "ticket_types[0].price",
            "must be a whole number (Minor units, such as 2050 for 20.50 EUR)",
        ),
        ({"ticket_types": [{"key": "adult", "price": 1}]}, "ticket_types[0].counts_as", "is missing"),
        (
            {"ticket_types": [ADULT | {"counts_as": "dog"}]},
            "ticket_types[0].counts_as",
            "must be one of adult, child, other, not 'dog'",
        ),
        (
            {"rules": {"others": [{"label": "Offer", "percent": 1, "days": {"dates": ["1 May"]}}]}},
            "rules.others[0].days.dates[0]",
            "must be a date such as 2030-05-01, not '1 May'",
        ),
    ],
)
def test_each_problem_says_what_would_be_right(fields: dict[str, Any], field: str, reason: str) -> None:
    found = problems(GOOD | fields)
    assert list(found) == [field]
    assert found[field].startswith(reason)


def test_what_is_no_object_at_all_is_refused() -> None:
    for document in (None, [], "tour", 5):
        assert list(problems(document)) == ["document"]


def test_times_of_a_voucher_need_an_offset() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_voucher(
            {"code": "WINTER-26", "percent": 5, "valid_from": "2030-01-01T00:00:00", "valid_until": "soon"}
        )
    assert [error.field for error in caught.value.errors] == ["valid_from", "valid_until"]
    assert "such as 2030-05-01T10:00:00+02:00" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"price": 1, "price": 2}', "'price' is given twice"),
        ('{"percent": NaN}', "NaN is not a number"),
        ('{"percent": -Infinity}', "-Infinity is not a number"),
        ('{"label": "\\ud83d"}', "half a character"),
        ('{"label": ', "line 1 column 11"),
        ("[" * 200_000, "nested too deeply"),
        ("9" * 5000, "digits"),
        ("", "line 1"),
    ],
)
def test_what_json_parsers_disagree_about_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        decoded(text)
    assert said in str(caught.value)
