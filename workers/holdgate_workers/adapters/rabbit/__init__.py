"""RabbitMQ: the order."""
