"""iCalendar files (RFC 5545) as rows: lines, events, zones, series.

May import the rows, and the standard library.
"""
