"""Lessons and assignments: sources in notebooks/sources, from which build.py makes and runs the notebooks."""
