"""Run interventions on a language model: the only place that knows nnsight."""
