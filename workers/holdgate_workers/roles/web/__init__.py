"""The pages that a process serves beside its metrics: order webhooks and calendar feeds.

May import the wiring and the use cases.
"""
