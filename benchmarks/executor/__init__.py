"""What a trial's forward passes cost, against the ways in which they are written today.

Run ``python -m benchmarks.executor`` in the repository.
"""
