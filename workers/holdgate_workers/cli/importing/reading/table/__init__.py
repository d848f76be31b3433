"""Tables (CSV and what spreadsheets make of it) as rows.

May import the rows, and the standard library.
"""
