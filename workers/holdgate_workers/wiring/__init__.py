"""The only place that knows which adapter serves which port.

May import the adapters, the use cases, the configuration.
"""
