"""Measurements: each as a ratio within one run."""
