"""Concept trials on the model: what features fire on texts, and what edits of them change."""
