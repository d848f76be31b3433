"""Rows of a file against what is stored: merged, judged, sent in an order that always works, and told."""
