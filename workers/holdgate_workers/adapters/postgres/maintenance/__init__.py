"""Migrations, health checks, recounts, erasure: what operations ask of the database.

May import the connection and the tables.
"""
