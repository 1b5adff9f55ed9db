"""Weights as files: fetched, verified, kept; paper-scale models by name."""
