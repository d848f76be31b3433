"""With which outside system: one folder each, and none knows another."""
