"""The benchmark. `python -m bench hot|lone`, or `make bench SCENARIO=hot`.

Every figure comes from paired runs on the same machine: ours, then the floor, then ours again. What is quoted is
the median and the spread; ratios are taken pair by pair.
"""
