"""Running the model: the only place that knows nnsight."""
