"""Video model: frozen encoder, Q-Former, frozen LLM."""
