"""A schedule as a whole: what a list of dates would change of what is stored, and in which order it can be done."""
