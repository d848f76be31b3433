"""Who mails go to and come from. Whatever shows one of these shows no name and no address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdgate_schema.errors import FieldError
from holdgate_schema.values.characters import hidden_in_text

NAME_CHARS_MAX = 200
ADDRESS_BYTES_MAX = 254
LOCAL_BYTES_MAX = 64
LABEL_BYTES_MAX = 63

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LOCAL_PART = re.compile(r"[^\s\x00-\x20\x7f-\xa0\ud800-\udfff()<>\[\]:;@\\,\"]+")
_DOMAIN_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


class InvalidPerson(ValueError):
    """A name, an address or a locale that no mail may be made with. `errors` names the fields, never what they hold."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


@dataclass(slots=True, frozen=True, kw_only=True, repr=False)
class Customer:
    """Who booked: what the conversion request says of them. Raises `InvalidPerson`.

    `locale` is a language tag such as `de-AT`; empty: the house's language.
    """

    name: str
    email: str
    locale: str = ""

    def __post_init__(self) -> None:
        errors = [*_name_errors("name", self.name), *_address_errors("email", self.email)]
        if self.locale and not _LOCALE.fullmatch(self.locale):
            errors.append(FieldError("locale", "must be a language tag such as de-AT, or empty"))
        if errors:
            raise InvalidPerson(errors)

    def __repr__(self) -> str:
        return "Customer(…)"


@dataclass(slots=True, frozen=True, kw_only=True, repr=False)
class Sender:
    """The house as its mails show it: a name, an address and, if given, another one for replies.

    Raises `InvalidPerson`.
    """

    name: str
    email: str
    reply_to: str | None = None

    def __post_init__(self) -> None:
        errors = [*_name_errors("name", self.name), *_address_errors("email", self.email)]
        if self.reply_to is not None:
            errors += _address_errors("reply_to", self.reply_to)
        if errors:
            raise InvalidPerson(errors)

    def __repr__(self) -> str:
        return "Sender(…)"

    @property
    def domain(self) -> str:
        """The domain of the address, as DNS has it."""
        return wire_address(self.email).rpartition("@")[2]


def wire_address(address: str) -> str:
    """The address with its domain as DNS has it. The part before the @ may still need SMTPUTF8 (RFC 6531)."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode('ascii')}"


def _name_errors(field: str, name: str) -> list[FieldError]:
    if not name.strip():
        return [FieldError(field, "must not be empty")]
    if len(name) > NAME_CHARS_MAX:
        return [FieldError(field, f"must have at most {NAME_CHARS_MAX} characters")]
    if _CONTROL.search(name):
        return [FieldError(field, "must be one line without control characters")]
    hidden = hidden_in_text(name)
    if hidden is not None:
        return [FieldError(field, f"must not have the invisible or control character {hidden}")]
    return []


def _address_errors(field: str, address: str) -> list[FieldError]:
    """An address that can be used as it is: dots, quotes and comments as RFC 5321 has them are not all allowed."""
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or not _is_domain(domain):
        return [FieldError(field, "must be one address such as name@example.org")]
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return [FieldError(field, "must not have a dot at an end or two in a row before the @")]
    if len(local.encode()) > LOCAL_BYTES_MAX or len(wire_address(address).encode()) > ADDRESS_BYTES_MAX:
        return [FieldError(field, f"must have at most {ADDRESS_BYTES_MAX} bytes, {LOCAL_BYTES_MAX} before the @")]
    return []


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    if not all(_DOMAIN_LABEL.fullmatch(label) for label in labels):
        return False
    try:
        return all(len(label.encode("idna")) <= LABEL_BYTES_MAX for label in labels)
    except UnicodeError:
        return False
