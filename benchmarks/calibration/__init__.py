"""Do tests reject, and intervals cover, as often as they say? Measured, for every estimator.

``python -m benchmarks.calibration`` writes ``results.csv`` here, and the page and the figure of the
documentation. What was measured before is kept: a run that was stopped goes on where it was.
"""
