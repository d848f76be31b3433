"""Heartbeats of workers, their places in line, and partitions without a consumer.

May import the connection and the ports.
"""
