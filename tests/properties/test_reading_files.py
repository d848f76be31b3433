"""Whatever the bytes of a file: it is read or refused with words, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from holdgate_workers.cli.importing.reading.files import HowToRead, form_of, read
from holdgate_workers.cli.importing.sources import Checked, Defaults, checked

FILES = sorted((Path(__file__).parents[1] / "unit" / "reading" / "files").iterdir())
HOW = HowToRead(now=datetime(2030, 1, 1, tzinfo=UTC))
DEFAULTS = Defaults(None, "Europe/Rome", 12, 90, ("adult",))
# What breaks readers: ends of ranges, halves of things, names where values are expected.
PIECES = [
    b"|", b"\r\n", b"\n ", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xed\xa0\x80", b'"', b":", b";", b",", b"=",
    b"\\",
    b"BEGIN:VEVENT\r\n", b"END:VEVENT\r\n", b"BEGIN:VTIMEZONE\r\n", b"END:VCALENDAR\r\n", b"RRULE:FREQ=DAILY\r\n",
    b"RRULE:FREQ=YEARLY;BYDAY=99MO;BYSETPOS=999\r\n", b"RRULE:FREQ=HOURLY;BYHOUR=77\r\n", b"RDATE:99991231T235959Z\r\n",
    b"RRULE:FREQ=DAILY;COUNT=999999;INTERVAL=999999\r\n", b"EXDATE;TZID=/:00010101\r\n", b"DTSTART:99991231T235959\r\n",
    b"DTSTART;TZID=Asia/Tokyo:00010101T000000\r\n", b"DURATION:P99999DT999999H\r\n", b"TZID=../../etc/passwd", b"TZID=",
    b"RECURRENCE-ID:00010101T000000Z\r\n", b"RECURRENCE-ID;RANGE=THISANDFUTURE:20300701T080000Z\r\n",
    b"TZOFFSETTO:+9999\r\n", b"X-WR-TIMEZONE:localtime\r\n", b"UID:\r\n", b"SUMMARY:\xf0\x9f\x8e\xad\r\n", b"9" * 40,
    b"sep=\r\n", b"9999-12-31 23:59", b"0001-01-01 00:00Z", b"2030-01-01 24:61", b"-1", b"1e400", b"METHOD:CANCEL\r\n",
]  # fmt: skip

SERIES = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:%s\nRRULE:%s\nSUMMARY:a\nEND:VEVENT\nEND:VCALENDAR\n"


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of ours with some of its bytes cut out, repeated, or replaced by a piece."""
    file = draw(st.sampled_from(FILES))
    data = file.read_bytes()
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        middle = draw(st.sampled_from([b"", data[start:end] * 2, *PIECES]) | st.binary(max_size=6))
        data = data[:start] + middle + data[end:]
    return file.name, data


def judged(name: str, data: bytes) -> Checked:
    form = form_of(Path(name))
    assert form is not None
    return checked(read(data, name, form, HOW), DEFAULTS)


@given(mutated())
@example(
    ("whole.ics", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:99991231T235959\nDURATION:P1D\nSUMMARY:a\n")
)
@example(
    ("whole.ics", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART;TZID=Asia/Tokyo:00010101T000000\nSUMMARY:a\n")
)
@example(("whole.ics", SERIES % (b"20300701T100000", b"FREQ=DAILY;BYHOUR=77")))
@example(("whole.ics", SERIES % (b"20300701T100000", b"FREQ=HOURLY;INTERVAL=24;BYHOUR=5")))
@example(("whole.ics", SERIES % (b"20300701T100000", b"FREQ=YEARLY;BYWEEKNO=99;BYDAY=99MO")))
@example(("whole.ics", SERIES % (b"20300701T100000", b"FREQ=YEARLY;BYMONTH=13;BYDAY=1MO")))
@example(("whole.ics", SERIES % (b"99991201T100000", b"FREQ=DAILY")))
@example(("whole.ics", SERIES % (b"00010101T000000", b"FREQ=DAILY\nEXDATE;TZID=Asia/Tokyo:00010101T000000")))
@example(("whole.ics", b"BEGIN:X\n" * 5_000))
@example(("table.csv", b"\xff\xfe\x00"))
@example(("table.csv", b'occurrence_id\n"' + b"a" * 200_000 + b'"'))
def test_a_damaged_file_is_read_or_refused_with_words(file: tuple[str, bytes]) -> None:
    found = judged(*file)
    assert found.requests or found.problems or found.notices
    for finding in (*found.problems, *found.notices):
        assert finding.field
        assert finding.reason
        assert finding.line >= 0


@given(st.sampled_from(["a.csv", "a.ics"]), st.binary(max_size=400))
def test_bytes_that_are_no_file_are_refused(name: str, data: bytes) -> None:
    found = judged(name, data)
    assert found.requests == []
    assert found.problems or name == "a.csv"
