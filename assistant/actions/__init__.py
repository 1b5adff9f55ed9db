"""What is being done: actions named by learned classes, or by descriptions of any."""
