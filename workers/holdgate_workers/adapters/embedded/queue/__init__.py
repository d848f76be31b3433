"""The queue of an embedded installation: tables in its PostgreSQL, with the promises of RabbitMQ.

May import the ports, the language, psycopg.
"""
