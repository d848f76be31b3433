"""By which human: the command line."""
