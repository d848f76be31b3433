"""The PostgreSQL server of an embedded installation: found, started, stopped.

May import the standard library and psycopg.
"""
