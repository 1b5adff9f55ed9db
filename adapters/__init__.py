"""Shipped weights and adapters (data only; found through assistant.core.resources)."""
