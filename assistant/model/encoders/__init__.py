"""Frozen image encoders: frames to patch features. A new one is a file here and a config's kind."""
