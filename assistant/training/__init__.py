"""``assistant finetune`` and ``assistant pretrain``: examples, losses, one loop."""
