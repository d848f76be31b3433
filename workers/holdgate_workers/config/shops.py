"""What a process is told of the shop that its orders go to: `HOLDGATE_ORDER_...`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

PREFIX = "HOLDGATE_"

GatewayName = Literal["local", "woocommerce", "webhook"]

NEEDED: dict[GatewayName, tuple[str, ...]] = {
    "local": (),
    "woocommerce": ("order_url", "order_key", "order_secret", "order_product_id"),
    "webhook": ("order_url", "order_secret"),
}
"""What each gateway cannot do without."""


class OrderSettings(BaseSettings):
    """The part of the configuration that is about orders. Unless another is named they go to a table of our own."""

    order_gateway: GatewayName = Field("local", description="where orders go: local, woocommerce or webhook")
    order_url: str | None = Field(None, description="the shop's address, or that of the hook")
    order_key: SecretStr | None = Field(None, description="WooCommerce: the consumer key, ck_...")
    order_secret: SecretStr | None = Field(None, description="the consumer secret, cs_..., or the signing secret")
    order_plain_http_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts that may be reached without TLS, separated by commas"
    )
    order_connect_seconds: float = Field(5.0, gt=0, le=60, description="until the shop takes the connection")
    order_read_seconds: float = Field(20.0, gt=0, le=120, description="the longest silence")
    order_total_seconds: float = Field(30.0, gt=0, le=300, description="the longest request")
    order_product_id: int | None = Field(None, ge=1, description="WooCommerce: the product that bookings are")
    order_product_ids: Annotated[dict[str, int], NoDecode] = Field(
        {}, description="WooCommerce: products for single tickets and extras, such as adult=93,lunch=95"
    )
    order_payment_methods: Annotated[dict[str, str], NoDecode] = Field(
        {}, description="WooCommerce: its payment gateway for a way of paying, such as credit_card=stripe"
    )
    order_coupons_as: Literal["fee", "coupon"] = Field(
        "fee", description="WooCommerce: a voucher as a line, or as a coupon that the shop has too"
    )
    order_refunds_payment: bool = Field(
        True,
        description="WooCommerce: the shop pays refunds back; false: people do, and what is owed waits for them",
    )
    order_settle_seconds: float = Field(
        90.0, gt=0, le=3600, description="WooCommerce: longer than the shop lets a request run"
    )
    order_webhook_secret: SecretStr | None = Field(
        None, description="WooCommerce: the secret of its webhook; unset: nothing is taken from it"
    )
    order_webhook_secret_before: SecretStr | None = Field(
        None, description="the secret before this one, while it is being replaced"
    )
    order_webhook_host: str = Field("127.0.0.1", description="where the shop's webhooks are taken")
    order_webhook_port: int | None = Field(None, ge=0, le=65535, description="unset: nowhere; 0: any free port")

    @field_validator("order_plain_http_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        return tuple(_parts(value)) if isinstance(value, str) else value

    @field_validator("order_product_ids", mode="before")
    @classmethod
    def _products(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in _parts(value)]
        if any(not key.strip() or not number.strip().isdecimal() for key, _, number in pairs):
            raise ValueError("must be key=number, separated by commas, such as adult=93,lunch=95")
        return {key.strip(): int(number) for key, _, number in pairs}

    @field_validator("order_payment_methods", mode="before")
    @classmethod
    def _methods(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in _parts(value)]
        if any(not method.strip() or not gateway.strip() for method, _, gateway in pairs):
            raise ValueError(
                "must be method=gateway, separated by commas, such as credit_card=stripe,paypal=ppcp-gateway"
            )
        return {method.strip(): gateway.strip() for method, _, gateway in pairs}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = [
            f"{variable(name)}: is needed with {variable('order_gateway')}={self.order_gateway}"
            for name in NEEDED[self.order_gateway]
            if not _given(getattr(self, name))
        ]
        problems += self._inbound_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _inbound_problems(self) -> Iterator[str]:
        if self.order_webhook_port is None:
            return
        if self.order_gateway != "woocommerce":
            yield f"{variable('order_webhook_port')}: only WooCommerce sends webhooks of its own"
        if not _given(self.order_webhook_secret):
            yield f"{variable('order_webhook_secret')}: is needed with {variable('order_webhook_port')}"

    @property
    def order_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets with which a delivery may be signed, the newest first."""
        both = (self.order_webhook_secret, self.order_webhook_secret_before)
        return tuple(secret.get_secret_value() for secret in both if secret is not None and _given(secret))


def variable(name: str) -> str:
    """What the setting is called in the environment."""
    return f"{PREFIX}{name.upper()}"


def _given(value: object) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return text is not None and text != ""


def _parts(value: str) -> Iterator[str]:
    return (part.strip() for part in value.split(",") if part.strip())
