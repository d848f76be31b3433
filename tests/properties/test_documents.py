"""Any document: it is read as it is, or refused with a field for each problem."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pricing_strategies import products

from holdgate_schema.errors import FieldError
from holdgate_schema.values.products import PRODUCT, Product
from holdgate_workers.domain.documents import InvalidDocument, converted, decoded
from holdgate_workers.domain.pricing.definitions.reading import read_product

NAMES = [*(field.name for field in msgspec.structs.fields(Product)), "type", "seasons", "x"]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner),
)


@given(products)
def test_a_good_product_is_read_as_it_was_written(product: Product) -> None:
    assert read_product(decoded(msgspec.json.encode(product).decode())) == product


def problems(document: object) -> list[FieldError]:
    try:
        converted(document, PRODUCT)
    except InvalidDocument as exc:
        return exc.errors
    return []


@given(DOCUMENTS)
def test_whatever_is_refused_is_refused_with_a_field_and_a_reason(document: object) -> None:
    found = problems(document)
    assert found or isinstance(document, dict)
    assert all(error.field and error.reason for error in found)


@given(products, st.data())
def test_a_field_that_is_spoilt_is_the_one_that_is_named(product: Product, data: st.DataObject) -> None:
    """Wherever it stands: everything else is as it was."""
    holder, where = msgspec.to_builtins(product), ""
    document = holder
    while True:
        name = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        where += f"[{name}]" if isinstance(holder, list) else f".{name}" if where else name
        if not holder[name] or not isinstance(holder[name], dict | list):
            break
        holder = holder[name]
    holder[name] = object()
    assert [error.field for error in problems(document)] == [where]
