"""Publishing with confirms, and the direct replies apart from the rest.

May import the AMQP parts and the ports.
"""
