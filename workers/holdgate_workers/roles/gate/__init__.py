"""The role `gate`: its engine, its deliveries, its membership.

May import the wiring, the adapters, the use cases.
"""
