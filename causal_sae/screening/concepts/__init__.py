"""Concept trials: whether features that fire on a concept do what their name says."""
