"""Events: what happened, as the journal and the topic exchange say it.

May import the fields and views of the language.
"""
