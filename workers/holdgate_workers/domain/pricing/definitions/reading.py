"""From what somebody wrote to a product or a voucher that prices can be made with."""

from __future__ import annotations

from holdgate_schema.values.products import PRODUCT, VOUCHER, Product, Voucher
from holdgate_workers.domain.documents import InvalidDocument, converted

from .checks import product_errors, voucher_errors


def read_product(document: object) -> Product:
    """The product; raises `InvalidDocument` with everything that is wrong with it."""
    product = converted(document, PRODUCT)
    errors = product_errors(product)
    if errors:
        raise InvalidDocument(errors)
    return product


def read_voucher(document: object) -> Voucher:
    """The voucher; raises `InvalidDocument` with everything that is wrong with it."""
    voucher = converted(document, VOUCHER)
    errors = voucher_errors(voucher)
    if errors:
        raise InvalidDocument(errors)
    return voucher
