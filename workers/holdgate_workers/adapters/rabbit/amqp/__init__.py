"""AMQP frames and properties, and the parts of pika that we drive ourselves.

May import pika and the ports.
"""
