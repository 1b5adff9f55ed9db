"""Frozen image encoders: frames to patch features."""
