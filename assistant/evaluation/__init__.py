"""``assistant evaluate TASK``: metrics, figures, plots, reports."""
