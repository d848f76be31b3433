"""The Prometheus metrics of the roles. Labels are few and bounded.

May import prometheus_client.
"""
