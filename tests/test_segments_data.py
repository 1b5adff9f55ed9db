"""Labelled clips: joined to long ones, and read from lists in the exact official layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import ffmpeg
from official import write_json
from retrieval_sight import COLORS
from test_index import color_clip, color_photo

from assistant.cli.main import main
from assistant.data.formats.labelled import convert_labelled
from assistant.data.joined import RATE, join_clips
from assistant.data.segments import labels_of, read_segments
from assistant.errors import InputError
from assistant.media.video import probe, read_audio, read_clip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """A folder a label: two clips of each color, one upright, one with sound; and a photo."""
    folder = tmp_path_factory.mktemp("labelled")
    for name in COLORS:
        own = folder / f"{name}_color"
        own.mkdir()
        color_clip(own / f"{name}.mp4", name, seconds=2)
        color_clip(own / f"{name}-2.mp4", name, seconds=2.4)
    ffmpeg("-i", folder / "red_color" / "red.mp4", "-vf", "transpose=1", folder / "up.mp4")
    (folder / "up.mp4").replace(folder / "red_color" / "red.mp4")
    tone = ("-f", "lavfi", "-i", "sine=440:duration=2.4")
    blue = folder / "blue_color" / "blue-2.mp4"
    ffmpeg("-i", blue, *tone, "-c:v", "copy", folder / "loud.mp4")
    (folder / "loud.mp4").replace(blue)
    color_photo(folder / "green_color" / "green.png", "green")
    color_clip(folder / "green_color" / "short.mp4", "green", seconds=1)
    return folder


class TestJoins:
    def test_what_is_when(self, labelled, tmp_path):
        made = join_clips(labelled, tmp_path, 2, seed=3, parts=(5, 7))
        clips = read_segments(made.path)
        assert made.clips == len(clips) == 2 and made.notes[0].startswith("1 clips are left out")
        sources = [segment.source for clip in clips for segment in clip.segments]
        assert len(set(sources[:7])) == 7  # each once before any comes again
        for clip in clips:
            assert 5 <= len(clip.segments) <= 7
            facts = probe(clip.video)
            assert (facts.width, facts.height) == (64, 48)
            assert facts.duration == pytest.approx(clip.segments[-1].end, abs=1 / RATE)
            for before, after in zip(clip.segments, clip.segments[1:], strict=False):
                assert before.end == after.start and before.label != after.label
            for segment in clip.segments:
                name = segment.label.split()[0]
                for moment in (segment.start + 0.1, segment.end - 0.1):
                    (frame,) = read_clip(
                        clip.video, frames=1, start=moment - 0.02, end=moment + 0.02
                    ).frames
                    color = frame[24, 32].astype(int)
                    assert abs(color - COLORS[name]).max() < 40, (segment, color)
                    bars = segment.source == "red.mp4"  # which is upright
                    assert (frame[24, 2].max() < 30) == bars
        heard = [s for s in clips[0].segments if s.source == "blue-2.mp4"]
        assert heard, "another seed"
        sound, _ = read_audio(clips[0].video)
        loud = abs(sound[round(16000 * (heard[0].start + 0.2)) :][:16000]).max()
        assert loud > 0.05
        silent = next(s for s in clips[0].segments if s.source == "green.mp4")
        assert abs(sound[round(16000 * (silent.start + 0.3)) :][:16000]).max() < 0.01

    def test_the_seed_decides(self, labelled, tmp_path):
        told = [
            join_clips(labelled, tmp_path / name, 1, seed=seed, parts=(5, 5)).path.read_text()
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        ]
        assert told[0] == told[1] != told[2]
        same = [(tmp_path / name / "000.mp4").read_bytes() for name in "ab"]
        assert same[0] == same[1]

    def test_command_and_table(self, labelled, tmp_path, capsys):
        (tmp_path / "clips").mkdir()
        lines = ["file\tcaption\tlabel"]
        for name in ("red", "blue"):
            clip = labelled / f"{name}_color" / f"{name}.mp4"
            (tmp_path / "clips" / clip.name).write_bytes(clip.read_bytes())
            lines.append(f"{clip.name}\tis {name}\t{name}")
        (tmp_path / "clips.tsv").write_text("\n".join(lines))
        command = ["data", "join", str(tmp_path), str(tmp_path / "out"), "--count", "1"]
        assert main(command) == 0
        assert "1 clips, " in capsys.readouterr().out
        assert labels_of(read_segments(tmp_path / "out")) == ["blue", "red"]
        assert main(command) == 2
        assert "there already" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("table", "told"),
        [
            ("file\tlabel\na.mp4\t\n", "clips.tsv:2 lacks label"),
            ("name\na.mp4\n", "clips.tsv:2 lacks file"),
            ("file\tlabel\n", "holds no clip"),
            ("file\tlabel\na.mp4\tx\n", "no such file"),
            (None, "holds no clips.tsv, and no folder a label"),
        ],
    )
    def test_a_wrong_folder(self, table, told, tmp_path, capsys):
        if table is not None:
            (tmp_path / "clips.tsv").write_text(table)
        assert main(["data", "join", str(tmp_path), str(tmp_path / "out")]) == 2
        assert told in capsys.readouterr().err

    def test_one_label_cannot_be_joined(self, labelled, tmp_path):
        (tmp_path / "a").mkdir()
        color_photo(tmp_path / "a" / "x.png", "red")
        with pytest.raises(InputError, match="fewer than two labels"):
            join_clips(tmp_path, tmp_path / "out", 1)


class TestReads:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"video": "gone.mp4"}, "is not there"),
            ({"segments": []}, "at least one segment"),
            ({"segments": [{"label": "a", "start": 3, "end": 3}]}, "lasts from 3"),
            ({"segments": [{"label": "a", "start": "3"}]}, "give seconds as a number"),
            ({"segments": [{"label": "a", "begin": 3}]}, "segment 1 has unknown begin"),
            ({"segments": [{"start": 3}]}, "segment 1 lacks label"),
            ({"segments": ["a"]}, "give an object"),
            ({"split": "val"}, "choose train, dev, test"),
            ({"clip": "a"}, "has unknown clip"),
        ],
    )
    def test_wrong_lines_are_named(self, change, told, tmp_path):
        (tmp_path / "a.mp4").write_bytes(b"a")
        line = {"video": "a.mp4", "segments": [{"label": "a"}]} | change
        path = write_json(tmp_path / "data.jsonl", line)
        with pytest.raises(InputError) as caught:
            read_segments(path)
        assert told in str(caught.value) and "line 1" in str(caught.value)

    def test_splits_and_labels(self, tmp_path):
        lines = []
        for name, split in (("a", "train"), ("b", "test")):
            (tmp_path / f"{name}.mp4").write_bytes(b"a")
            line = {"video": f"{name}.mp4", "split": split, "segments": [{"label": name}]}
            lines.append(json.dumps(line))
        (tmp_path / "data.jsonl").write_text("\n".join(lines))
        assert labels_of(read_segments(tmp_path)) == ["a", "b"]
        assert labels_of(read_segments(tmp_path, "test")) == ["b"]
        with pytest.raises(InputError, match="no clip of the split dev"):
            read_segments(tmp_path, "dev")

    def test_labels_of_overlapping_segments(self, tmp_path):
        (tmp_path / "a.mp4").write_bytes(b"a")
        spans = [("x", 0, 10), ("y", 6, 12), ("z", 9.5, 30)]
        segments = [{"label": name, "start": s, "end": e} for name, s, e in spans]
        write_json(tmp_path / "data.jsonl", {"video": "a.mp4", "segments": segments})
        (clip,) = read_segments(tmp_path)
        assert clip.truth(20) == [{"x"}, {"x", "y"}, {"z"}]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a clip")


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def refused(name: str, path: Path, out: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        list(convert_labelled(name, path, out, **options))
    assert "\n" not in str(caught.value) and not (out / "data.jsonl").exists()
    return str(caught.value)


def converted(name: str, path: Path, out: Path, **options: object):
    told = list(convert_labelled(name, path, out, **options))
    return {clip.video.name: clip for clip in read_segments(out)}, told


class TestConverts:
    def test_kinetics(self, tmp_path):
        head = "label,youtube_id,time_start,time_end,split,is_cc"
        write(tmp_path / "train.csv", head, '"riding, or walking the bike",-0abc_D,84,94,train,0')
        write(tmp_path / "val.csv", head, "abseiling,xyz,3,13,val,0")
        names = ("train/-0abc_D_000084_000094.mp4", "val/abseiling/xyz_000003_000013.mp4")
        assert "2 of 2 clips are not in" in refused("kinetics", tmp_path, tmp_path / "out")
        touch(*(tmp_path / name for name in names))
        clips, told = converted("kinetics", tmp_path, tmp_path / "out")
        assert told[1] == "2 clips, 2 segments, 2 labels" and told[2:] == ["train: 1", "dev: 1"]
        clip = clips["-0abc_D_000084_000094.mp4"]
        assert (clip.split, clip.segments[0].label) == ("train", "riding, or walking the bike")
        assert clip.segments[0].within(10.0) == (0, 10)
        write(tmp_path / "val.csv", head, "abseiling,xyz,3,x,val,0")
        assert "val.csv:2: its times are" in refused("kinetics", tmp_path, tmp_path / "no")
        write(tmp_path / "val.csv", head, "abseiling,,3,4,val,0")
        assert "val.csv:2: lacks youtube_id" in refused("kinetics", tmp_path, tmp_path / "no")
        write(tmp_path / "val.csv", "label,youtube_id", "abseiling,xyz")
        assert "no column time_start" in refused("kinetics", tmp_path, tmp_path / "no")
        assert "leave out --list" in refused("kinetics", tmp_path, tmp_path / "no", number=2)

    def test_activitynet(self, tmp_path):
        def video(subset, *annotations):
            told = {"duration": 99.5, "subset": subset, "resolution": "320x240", "url": "..."}
            return told | {"annotations": list(annotations)}

        first = {"segment": [1.5, 20], "label": "Long jump"}
        again = {"segment": [50, 70.25], "label": "Long jump"}
        none = {"segment": [30, 30], "label": "Long jump"}
        database = {
            "abc": video("training", first, again, none),
            "def": video("validation", first),
            "ghi": video("testing"),
        }
        path = tmp_path / "activity_net.v1-3.min.json"
        write_json(path, {"database": database, "taxonomy": [], "version": "1.3"})
        touch(tmp_path / "v_abc.mp4", tmp_path / "more" / "v_def.mkv")
        clips, told = converted("activitynet", tmp_path, tmp_path / "out")
        assert [s.within(99.5) for s in clips["v_abc.mp4"].segments] == [(1.5, 20), (50, 70.25)]
        assert clips["v_def.mkv"].split == "test"
        assert told[-2:] == [
            "1 clips of the test split have no public labels",
            "1 segments without a length are left out",
        ]
        for wrong in ([20], [1, "x"], "1-20", [-1, 4]):
            bad = {"segment": wrong, "label": "Long jump"}
            write_json(path, {"database": {"abc": video("training", bad)}})
            assert "'abc': " in refused("activitynet", path, tmp_path / "no")
        write_json(path, {"database": {"abc": video("all", first)}})
        assert "subset is 'all'" in refused("activitynet", path, tmp_path / "no")

    def test_charades(self, tmp_path):
        write(tmp_path / "Charades_v1_classes.txt", "c000 Holding some clothes", "c092 Running")
        head = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions"
        row = '{},HR43,Kitchen,6,7,Yes,"A person cooks, then runs.",food,"a;b",{}'
        train = tmp_path / "Charades_v1_train.csv"
        write(train, head, row.format("46GP8", "c092 11.90 21.20;c000 0.00 12.60"))
        write(tmp_path / "Charades_v1_test.csv", head, row.format("N11GT", ""))
        touch(tmp_path / "Charades_v1_480" / "46GP8.mp4")
        clips, told = converted("charades", tmp_path, tmp_path / "out")
        (clip,) = clips.values()
        assert [(s.label, s.start, s.end) for s in clip.segments] == [
            ("Running", 11.9, 21.2),
            ("Holding some clothes", 0, 12.6),
        ]
        assert told[-1] == "1 clips without an action are left out"
        for wrong, why in (
            ("c999 1 2", "class 'c999' is not in Charades_v1_classes.txt"),
            ("c092 1", "not two seconds"),
            ("c092 one two", "wanted class start end"),
        ):
            write(train, head, row.format("46GP8", wrong))
            message = refused("charades", tmp_path, tmp_path / "no")
            assert "Charades_v1_train.csv:2: " in message and why in message

    def test_ucf101(self, tmp_path):
        lists = tmp_path / "ucfTrainTestlist"
        names = [f"ApplyEyeMakeup/v_ApplyEyeMakeup_g0{n}_c01.avi" for n in (1, 8)]
        write(lists / "trainlist02.txt", f"{names[1]} 1")
        write(lists / "testlist02.txt", f"{names[0]}")
        touch(*(tmp_path / "UCF-101" / name for name in names))
        clips, _ = converted("ucf101", tmp_path, tmp_path / "out", number=2)
        clip = clips["v_ApplyEyeMakeup_g01_c01.avi"]
        assert (clip.split, clip.segments[0].label) == ("test", "apply eye makeup")
        assert "no trainlist01.txt" in refused("ucf101", tmp_path, tmp_path / "no")
        write(lists / "testlist02.txt", "v_ApplyEyeMakeup_g01_c01.avi")
        message = refused("ucf101", tmp_path, tmp_path / "no", number=2)
        assert "testlist02.txt:1: 'v_Apply" in message and "wanted Class/clip.avi" in message

    def test_hmdb51(self, tmp_path):
        lists = tmp_path / "testTrainMulti_7030_splits"
        path = write(
            lists / "brush_hair_test_split1.txt", "a#1_brush_hair_0.avi 1 ", "b.avi 2", "c.avi 0"
        )
        touch(tmp_path / "brush_hair" / "a#1_brush_hair_0.avi", tmp_path / "brush_hair" / "b.avi")
        clips, _ = converted("hmdb51", tmp_path, tmp_path / "out")
        assert {clip.split for clip in clips.values()} == {"train", "test"}
        assert clips["b.avi"].segments[0].label == "brush hair"
        write(path, "a#1_brush_hair_0.avi 1", "b.avi")
        message = refused("hmdb51", tmp_path, tmp_path / "no")
        assert "brush_hair_test_split1.txt:2: 'b.avi'; wanted a clip and 0, 1 or 2" in message
        assert "no *_test_split3.txt" in refused("hmdb51", tmp_path, tmp_path / "no", number=3)

    def test_the_command(self, tmp_path, capsys):
        write(tmp_path / "in" / "x_y_test_split1.txt", "a.avi 1", "b.avi 2")
        touch(tmp_path / "in" / "x_y" / "a.avi")
        command = ["data", "segments", "hmdb51", str(tmp_path / "in"), str(tmp_path / "out")]
        assert main(command) == 2
        assert "1 of 2 clips are not in" in capsys.readouterr().err
        assert main([*command, "--missing", "drop"]) == 0
        assert "their segments are left out" in capsys.readouterr().out
