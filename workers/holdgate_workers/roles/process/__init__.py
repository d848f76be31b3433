"""A process around its roles: loops, logs, health, readiness.

May import the wiring and the metrics.
"""
