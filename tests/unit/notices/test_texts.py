"""What mails say: every template is rendered and looked at, in ours and in the operator's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields
from tests.support.notices import ADULTS, HOUSE, START, a_booking, a_customer, a_quote, a_slot

from holdgate_workers.adapters.mail.texts import InvalidTemplates, TemplateTexts
from holdgate_workers.app.notifications.delivery.mail import MailText, UnwritableMail
from holdgate_workers.app.notifications.facts import Booking
from holdgate_workers.app.notifications.mails import MailKind

SUBJECTS = {
    MailKind.CONFIRMATION: "Confirmed: Harbour tour, Friday, 14 June 2030",
    MailKind.CHANGE: "New time: Harbour tour, Friday, 14 June 2030, 10:00",
    MailKind.REMINDER: "Reminder: Harbour tour, Friday, 14 June 2030, 10:00",
    MailKind.REDUCTION: "Changed: Harbour tour, Friday, 14 June 2030",
    MailKind.CANCELLATION: "Cancelled: Harbour tour, Friday, 14 June 2030",
}
OURS = TemplateTexts(HOUSE, locale="en-GB")
PARTS = ("subject.txt", "txt", "html")


class Page(HTMLParser):
    """What a reader sees of a page, and whether every element that is opened is closed."""

    VOID = ("meta", "br", "img", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.open, self.tags = "", list[str](), set[str]()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def written(kind: MailKind = MailKind.CONFIRMATION, booking: Booking | None = None, **customer: str) -> MailText:
    return OURS.write(kind, booking or a_booking(a_slot(place="Pier 4")), a_customer(**customer))


@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_says_what_when_where_for_whom_and_how_much(kind: MailKind) -> None:
    mail = written(kind)
    assert mail.subject == SUBJECTS[kind]
    page = Page(mail.html)
    assert page.open == []
    for said in (page.words, " ".join(mail.text.split())):
        for fact in (
            "Hello Zoë O'Neil,",
            "Harbour tour",
            "Friday, 14 June 2030",
            "10:00 – 12:00",
            "Central European Summer Time",
            "Pier 4",
            "2 × Adult",
            "€150.00",
            "Audio guide",
            "€6.05",
            "€156.05",
            "HG-1042",
            "Harbour House",
            "bookings@harbour.example",
        ):
            assert fact in said


def test_what_was_given_back_is_not_listed_any_more() -> None:
    full = a_booking(a_slot(place="Pier 4"))
    less = replace(full, tickets=(replace(full.tickets[0], quantity=1),), refunded=7500)
    for kind in (MailKind.REDUCTION, MailKind.REMINDER):
        text = written(kind, less).text
        assert "1 × Adult" in text
        assert "2 × Adult" not in text
        assert "€156.05" not in text, "it is not what the booking costs any more"
    assert "We refund €75.00 in all." in written(MailKind.REDUCTION, less).text


def test_a_text_mail_reads_well() -> None:
    assert written(
        MailKind.CANCELLATION, a_booking(a_slot(place="Pier 4"), state="cancelled", refunded=5000)
    ).text == (
        "Hello Zoë O'Neil,\n"
        "\n"
        "Your booking was cancelled. The attached file takes it out of your calendar.\n"
        "We refund €50.00.\n"
        "\n"
        "Harbour tour\n"
        "Friday, 14 June 2030, 10:00 – 12:00 (Central European Summer Time)\n"
        "Pier 4\n"
        "\n"
        "2 × Adult: €150.00\n"
        "Audio guide: €6.05\n"
        "Total: €156.05\n"
        "\n"
        "Booking reference: HG-1042\n"
        "\n"
        "-- \n"
        "Harbour House\n"
        "bookings@harbour.example"
    )


@pytest.mark.parametrize("kind", MailKind)
def test_nothing_is_loaded_from_anywhere_and_nothing_runs(kind: MailKind) -> None:
    html = written(kind).html
    assert not Page(html).tags & {"script", "img", "link", "iframe", "object"}
    assert "http" not in html
    assert "url(" not in html


def test_what_people_wrote_is_text_in_html_and_untouched_in_text() -> None:
    slot = a_slot(title="Wine & <script>alert(1)</script>", place='"Pier" <4>')
    booking = a_booking(slot, tickets=(replace(ADULTS, label="<b>Adult</b>"),), quote=None)
    mail = written(booking=booking, name="<i>Zoë</i>")
    page = Page(mail.html)
    assert not page.tags & {"script", "b", "i"}
    for fact in ("Wine & <script>alert(1)</script>", '"Pier" <4>', "<b>Adult</b>", "<i>Zoë</i>"):
        assert fact in page.words
        assert fact in mail.text


def test_without_a_price_the_pieces_are_named_and_no_money() -> None:
    mail = written(booking=a_booking(quote=None))
    for said in (Page(mail.html).words, mail.text):
        assert "2 × Adult" in said
        assert "1 × Audio guide" in said
        assert "€" not in said
        assert "Total" not in said


def test_a_cancellation_promises_only_what_was_given_back() -> None:
    for booking in (a_booking(state="cancelled"), a_booking(state="cancelled", refunded=0), a_booking(refunded=1)):
        assert "refund" not in written(MailKind.CANCELLATION, booking).text


@pytest.mark.parametrize(
    ("starts_at", "zone", "said"),
    [
        (
            datetime(2030, 3, 31, 0, 30, tzinfo=UTC),
            "Europe/Rome",
            "01:30 – 04:30 (Central European Standard Time)",
        ),
        (datetime(2030, 10, 27, 0, 30, tzinfo=UTC), "Europe/Rome", "02:30 – 03:30 (Central European Summer Time)"),
        (
            datetime(2030, 10, 27, 1, 30, tzinfo=UTC),
            "Europe/Rome",
            "02:30 – 04:30 (Central European Standard Time)",
        ),
        (datetime(2030, 6, 14, 20, tzinfo=UTC), "Asia/Tokyo", "05:00 – 07:00 (Japan Standard Time)"),
    ],
)
def test_times_are_those_of_a_clock_at_the_place(starts_at: datetime, zone: str, said: str) -> None:
    assert said in written(booking=a_booking(a_slot(starts_at, timezone=zone))).text


def test_an_end_on_another_day_says_so() -> None:
    slot = a_slot(ends_at=START + timedelta(hours=20))
    assert "10:00 – Saturday, 15 June 2030, 06:00" in written(booking=a_booking(slot)).text


@pytest.mark.parametrize(
    ("currency", "said"), [("JPY", "JP¥15,605"), ("KWD", "KWD15.605"), ("RSD", "RSD156.05"), ("USD", "US$156.05")]
)
def test_amounts_have_all_their_digits(currency: str, said: str) -> None:
    quote = with_fields(a_quote(), currency=currency)
    assert said in written(booking=a_booking(quote=quote)).text.replace("\xa0", "")


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en-US", "Friday, June 14, 2030"),
        ("en", "Friday, June 14, 2030"),
        ("en_AU", "Friday, 14 June 2030"),
        ("", "Friday, 14 June 2030"),
        ("de-AT", "Friday, 14 June 2030"),
        ("xx-YY", "Friday, 14 June 2030"),
    ],
)
def test_dates_are_in_the_language_of_the_words(locale: str, said: str) -> None:
    assert said in written(locale=locale).text


# --- the operator's own ----------------------------------------------------------------------------------------------


def write_german(folder: Path) -> None:
    (folder / "de").mkdir()
    for kind in MailKind:
        for part in PARTS:
            (folder / "de" / f"{kind}.{part}").write_text(
                "{{ customer.name }}: {{ booking.title }} am {{ booking.day }} "
                "um {{ booking.starts }}, {{ booking.total }}"
            )


def test_single_files_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "reminder.subject.txt").write_text("Don't forget {{ booking.title }}!\n")
    (tmp_path / "layout.html").write_text(
        "<main>{% block title %}{% endblock %}{% block body %}{% endblock %}</main>"
    )
    texts = TemplateTexts(HOUSE, folder=tmp_path, locale="en-GB")
    reminder = texts.write(MailKind.REMINDER, a_booking(), a_customer())
    assert reminder.subject == "Don't forget Harbour tour!"
    assert reminder.text == written(MailKind.REMINDER, a_booking()).text
    assert reminder.html.startswith("<main>See you soon")
    assert texts.write(MailKind.CHANGE, a_booking(), a_customer()).subject == SUBJECTS[MailKind.CHANGE]


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("de", "Zoë O'Neil: Harbour tour am Freitag, 14. Juni 2030 um 10:00, 156,05\xa0€"),
        ("de-AT", "Zoë O'Neil: Harbour tour am Freitag, 14. Juni 2030 um 10:00, €\xa0156,05"),
        ("", SUBJECTS[MailKind.CONFIRMATION]),
        ("it", SUBJECTS[MailKind.CONFIRMATION]),
    ],
)
def test_customers_are_written_to_in_their_language_if_there_are_words(
    tmp_path: Path, locale: str, said: str
) -> None:
    write_german(tmp_path)
    texts = TemplateTexts(HOUSE, folder=tmp_path, locale="en-GB")
    assert texts.write(MailKind.CONFIRMATION, a_booking(), a_customer(locale=locale)).subject == said


def test_the_house_may_speak_another_language(tmp_path: Path) -> None:
    write_german(tmp_path)
    texts = TemplateTexts(HOUSE, folder=tmp_path, locale="de")
    assert "Freitag" in texts.write(MailKind.CONFIRMATION, a_booking(), a_customer(locale="it")).subject


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("confirmation.txt", "{{ booking.price }}", "no attribute 'price'"),
        ("confirmation.html", "{{ client.name }}", "'client' is undefined"),
        ("reminder.html", "{% if %}", "line 1"),
        ("cancellation.txt", '{% include "footer.txt" %}', "there is no footer.txt"),
        ("change.subject.txt", "{{ booking.title + 1 }}", "str"),
    ],
)
def test_a_template_that_cannot_work_is_found_before_it_is_needed(
    tmp_path: Path, file: str, content: str, reason: str
) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / file).write_text(content)
    with pytest.raises(InvalidTemplates) as caught:
        TemplateTexts(HOUSE, folder=tmp_path)
    [error] = caught.value.errors
    assert error.field == f"en/{file}"
    assert reason in error.reason


def test_another_language_needs_all_its_files(tmp_path: Path) -> None:
    write_german(tmp_path)
    (tmp_path / "de" / "change.html").unlink()
    with pytest.raises(InvalidTemplates, match=r"de/change\.html: there is no change\.html"):
        TemplateTexts(HOUSE, folder=tmp_path)


def test_a_folder_that_is_no_language_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidTemplates, match="is not a folder"):
        TemplateTexts(HOUSE, folder=tmp_path / "none")
    (tmp_path / ".git").mkdir()
    TemplateTexts(HOUSE, folder=tmp_path)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(
        InvalidTemplates, match="pictures: is a folder that is not named after a language"
    ) as caught:
        TemplateTexts(HOUSE, folder=tmp_path)
    assert len(caught.value.errors) == 1


def test_a_house_without_words_in_its_language_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidTemplates, match="no templates for 'de'"):
        TemplateTexts(HOUSE, locale="de")


def test_what_fails_later_names_the_template_and_nobody(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "reminder.txt").write_text(
        '{% if customer.name != "Alex Sample" %}{{ customer.name + 1 }}{{ none[customer.name] }}{% endif %}'
    )
    texts = TemplateTexts(HOUSE, folder=tmp_path)
    with pytest.raises(UnwritableMail) as caught:
        texts.write(MailKind.REMINDER, a_booking(), a_customer())
    assert str(caught.value) == "the template reminder.txt failed: TypeError"
    assert caught.value.__suppress_context__
