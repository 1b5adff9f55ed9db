"""The ``assistant`` command; with ``ui`` the only rooms that print and exit."""
