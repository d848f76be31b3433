"""The client's link over RabbitMQ.

May import the core, and pika.
"""
