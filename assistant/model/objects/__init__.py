"""Objects: which, how many, where and of which color, from the frozen encoder's features."""
