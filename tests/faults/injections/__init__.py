"""Faults, one function each: what it does to the world, and when that began and ended."""
