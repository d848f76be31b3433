"""An on-sale as it is in life: many client processes on one occurrence, and a verdict that trusts nobody.

`plan` says what each client will do, `client` does it and writes down what it saw, `course` runs them all, and
`verdict` counts again from the rows and the notes alone.
"""
