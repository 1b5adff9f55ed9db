"""``assistant pretrain``: mini's base weights from images and text."""
