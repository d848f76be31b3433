"""In which order: the use cases, written against ports, as protocols that a simulator can drive."""
