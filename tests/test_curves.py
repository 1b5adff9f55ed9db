"""Learning curves are drawn from what training logs."""

from __future__ import annotations

import json

from PIL import Image

from assistant.training.curves import draw_curves


def test_every_figure_of_the_log_is_drawn_over_all_phases(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        {"phase": 1, "step": 50, "time": 1, "loss": 3.0},
        {"phase": 1, "step": 100, "time": 2, "loss": 2.0, "dev scene": 2.1, "scene: color": 0.5},
        {"phase": 2, "step": 150, "time": 3, "loss": 1.0, "dev scene": 1.1, "scene: color": 0.9},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    picture = Image.open(draw_curves(log, tmp_path / "curves.png"))
    assert picture.width > picture.height > 300
    colors = picture.convert("RGB").getcolors(1 << 20)
    assert len(colors) > 50  # lines, dots and words, not an empty frame
