"""How commands print: tables, plain columns, JSON, answers and events in words.

May import the domain and the language.
"""
