"""What is true: pure functions over the state of one occurrence. No clock, no ids, no I/O."""
