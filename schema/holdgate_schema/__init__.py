"""The language of Holdgate: everything that crosses a process boundary, and nothing else.

Needs msgspec only. `tables` and `migrations` describe the database and need the `[service]` extra.
"""
