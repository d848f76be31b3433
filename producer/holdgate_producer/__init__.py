"""The client that upstream services install: pika and the language, nothing else."""
