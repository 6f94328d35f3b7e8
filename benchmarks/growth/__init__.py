"""How a run's time, memory and bytes grow with its prompts, and what that means for a large one.

Run ``python -m benchmarks.growth`` in the repository.
"""
