"""Words for mails, from Jinja templates: ours, or those of a folder of the operator's own.

A template is looked for in `<folder>/<language>`, then in `<folder>`, then among ours, which are English. So single
files can be replaced; another language needs them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel import Locale
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)

from holdgate_schema.errors import FieldError
from holdgate_workers.app.notifications.delivery.mail import MailText, UnwritableMail
from holdgate_workers.app.notifications.facts import Booking
from holdgate_workers.app.notifications.mails import MailKind
from holdgate_workers.app.notifications.people import Customer, Sender

from . import sample
from .view import parsed_locale, view

OUR_TEMPLATES = Path(__file__).parent / "templates"
OUR_LANGUAGE = "en"
SUBJECT, TEXT, HTML = "subject.txt", "txt", "html"

_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
"""What a template can fail with; the last ones come from what it does with its variables."""


class InvalidTemplates(ValueError):
    """One or more templates cannot be used; `errors` names each file and what is wrong with it."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = errors


class TemplateTexts:
    """The port `MailTexts`. A customer without a language, or with one that has no templates, gets the house's.

    All templates are read, and tried with made-up bookings, when this is made. Raises `InvalidTemplates`.
    """

    def __init__(self, house: Sender, *, folder: Path | None = None, locale: str = OUR_LANGUAGE) -> None:
        if folder is not None and not folder.is_dir():
            raise InvalidTemplates([FieldError(str(folder), "is not a folder")])
        self._house = house
        self._languages = {_tag(name): _environment(name, folder) for name in _languages(folder)}
        default = self._locale(locale)
        errors = [error for language in self._languages for error in self._problems(language)]
        if default is None:
            errors.append(FieldError("locale", f"there are no templates for {locale!r}"))
        if default is None or errors:
            raise InvalidTemplates(errors)
        self._default = default

    def write(self, kind: MailKind, booking: Booking, customer: Customer) -> MailText:
        """The words. Raises `UnwritableMail`, which names the template and nothing of what was to be in it."""
        language, locale = self._locale(customer.locale) or self._default
        variables = view(booking, customer, self._house, locale)
        environment = self._languages[language]
        return MailText(
            subject=_rendered(environment, f"{kind}.{SUBJECT}", variables),
            text=_rendered(environment, f"{kind}.{TEXT}", variables),
            html=_rendered(environment, f"{kind}.{HTML}", variables),
        )

    def _locale(self, tag: str) -> tuple[str, Locale] | None:
        """The templates for a language tag and the locale for numbers and dates, which are of the same language."""
        locale = parsed_locale(tag) if tag else None
        if locale is None:
            return None
        for language in (_tag(str(locale)), locale.language):
            if language in self._languages:
                return language, locale
        return None

    def _problems(self, language: str) -> Iterator[FieldError]:
        environment = self._languages[language]
        locale = parsed_locale(language)
        if locale is None:
            yield FieldError(language, "is a folder that is not named after a language")
            return
        for name in (f"{kind}.{part}" for kind in MailKind for part in (SUBJECT, TEXT, HTML)):
            try:
                for booking in sample.bookings():
                    environment.get_template(name).render(view(booking, sample.CUSTOMER, self._house, locale))
            except _FAULTS as exc:
                yield FieldError(f"{language}/{name}", _fault(exc))


def _languages(folder: Path | None) -> Iterable[str]:
    """The folders by their names; ours is always among them, and hidden ones are left alone."""
    folders = (path.name for path in folder.iterdir() if path.is_dir()) if folder is not None else ()
    return sorted({OUR_LANGUAGE, *(name for name in folders if not name.startswith("."))})


def _tag(name: str) -> str:
    return name.replace("_", "-").lower()


def _environment(language: str, folder: Path | None) -> Environment:
    places = [folder / language, folder] if folder is not None else []
    places += [OUR_TEMPLATES / language, OUR_TEMPLATES]
    return Environment(
        loader=FileSystemLoader(places),
        autoescape=select_autoescape(("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _rendered(environment: Environment, name: str, variables: Any) -> str:
    try:
        return environment.get_template(name).render(variables)
    except _FAULTS as exc:
        # Not chained: what is underneath may quote a name.
        raise UnwritableMail(f"the template {name} failed: {type(exc).__name__}") from None


def _fault(exc: Exception) -> str:
    if isinstance(exc, TemplateNotFound):
        return f"there is no {exc.name}"
    where = f" (line {exc.lineno} of {exc.name})" if isinstance(exc, TemplateSyntaxError) else ""
    return f"{exc}{where}"
