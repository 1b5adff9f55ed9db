"""A conversational video assistant. ``from assistant import load``."""
