"""Teaches the base's language model to read what is perceived, and to answer shortly from it."""
