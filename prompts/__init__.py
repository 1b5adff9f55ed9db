"""Shipped task prompts (data only; found through assistant.core.resources)."""
