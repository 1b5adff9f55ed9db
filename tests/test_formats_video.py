"""Formats of questions that need their clips: tiny files in the exact official layouts."""

from __future__ import annotations

from collections import Counter

from official import refused, write_json

from assistant.data.formats.convert import convert


def test_qaego4d(tmp_path):
    item = {
        "video_id": "abcdef00-0000",
        "sample_id": "12345678-1234_3",
        "question": "Where did I leave my keys?",
        "answer": "on the table",
        "moment_start_frame": 42,
        "moment_end_frame": 90.0,
    }
    source = tmp_path / "in"
    write_json(source / "annotations.train.json", [item])
    closed = item | {"sample_id": "b", "wrong_answers": ["in the bag", "at home"]}
    write_json(source / "annotations.QaEgo4D_test.json", [closed, item | {"sample_id": "c"}])
    told = refused("qaego4d", source, tmp_path / "out")
    assert "1 of 1 clips are not in" in told and "first abcdef00-0000.mp4" in told
    (source / "abcdef00-0000.mp4").write_bytes(b"a clip")
    made = convert("qaego4d", source, tmp_path / "out")
    assert [item.split for item in made.items] == ["train", "test", "test"]
    assert made.items[0].start is None and made.items[0].choices is None
    assert made.items[1].choices == ("at home", "in the bag", "on the table")
    assert any("holds no annotations.val.json" in note for note in made.notes)
    looked = convert("qaego4d", source, tmp_path / "moments", moments=True)
    assert (looked.items[0].start, looked.items[0].end) == (1.4, 3.0)
    still = item | {"moment_end_frame": 42}
    one = write_json(tmp_path / "one" / "annotations.val.json", [still])
    looked = convert("qaego4d", one, tmp_path / "still", moments=True, clips=source)
    assert looked.items[0].start is None and looked.items[0].split == "dev"
    assert any(note.startswith("1 questions have no moment") for note in looked.notes)
    del still["answer"]
    write_json(one, [still])
    assert "item 0 lacks answer; wanted" in refused("qaego4d", one, tmp_path / "no")


def scene(video: int, **changes: object) -> dict:
    choice = {"choice_id": 0, "choice": "The presence of the cube", "answer": "correct"}
    other = {"choice_id": 1, "choice": "The sphere's entering.", "answer": "wrong"}
    question = "Which of the following is responsible for the collision?"
    return {
        "scene_index": video,
        "video_filename": f"video_{video:05d}.mp4",
        "questions": [
            {
                "question_id": 0,
                "question": "How many metal objects are moving?",
                "question_type": "descriptive",
                "question_subtype": "count",
                "program": ["events"],
                "answer": "2",
            },
            {
                "question_id": 1,
                "question": question,
                "question_type": "explanatory",
                "program": [],
                "choices": [choice, other | changes],
            },
        ],
    }


def test_clevrer(tmp_path):
    source = tmp_path / "in"
    write_json(source / "train.json", [scene(3)])
    write_json(source / "validation.json", [scene(10000)])
    clips = tmp_path / "clips"
    for part in ("video_train/video_00000-01000/video_00003", "video_validation/video_10000"):
        (clips / part).parent.mkdir(parents=True, exist_ok=True)
        (clips / f"{part}.mp4").write_bytes(b"a clip")
    told = refused("clevrer", source, tmp_path / "out", missing="error")
    assert "2 of 2 clips are not in" in told and "CLEVRER project" in told
    made = convert("clevrer", source, tmp_path / "out", clips=clips)
    first, right, wrong, *_ = made.items
    assert (first.id, first.answer, first.type) == ("video_00003-0", "2", "descriptive")
    assert first.choices == ("0", "1", "2", "3", "4", "5")
    assert first.video == clips / "video_train/video_00000-01000/video_00003.mp4"
    assert (right.id, right.answer, wrong.answer) == ("video_00003-1-0", "yes", "no")
    assert wrong.question.endswith("collision? The sphere's entering: yes or no?")
    assert Counter(item.split for item in made.items) == {"train": 3, "dev": 3}
    one = write_json(tmp_path / "one" / "train.json", [scene(1, answer="right")])
    assert "the label 'right' of a choice" in refused("clevrer", one, tmp_path / "no")
    test = write_json(tmp_path / "one" / "test.json", [])
    assert "give train or validation.json" in refused("clevrer", test, tmp_path / "no")


def test_mvbench(tmp_path):
    item = {
        "video": "video_11022.mp4",
        "question": "What direction is the cyan sphere moving within the video?",
        "candidates": ["Down and to the right.", "Up and to the left."],
        "answer": "Up and to the left.",
    }
    source, clips = tmp_path / "in", tmp_path / "clevrer" / "video_validation"
    tasks = ("moving_direction", "moving_count", "moving_attribute", "object_existence")
    for task in tasks[:3]:
        write_json(source / "json" / f"{task}.json", [item])
    clips.mkdir(parents=True)
    (clips / "video_11022.mp4").write_bytes(b"a clip")
    told = refused("mvbench", source, tmp_path / "out", clips=clips)
    assert "holds no json/object_existence.json or object_existence.json: get it from" in told
    write_json(source / "json" / "object_existence.json", [item, item])
    made = convert("mvbench", source, tmp_path / "out", clips=clips)
    assert [item.id for item in made.items][-1] == "object_existence-1"
    assert made.items[0].choices == ("Down and to the right.", "Up and to the left.")
    assert {item.type for item in made.items} == {task.replace("_", " ") for task in tasks}
    assert {item.split for item in made.items} == {"test"}
    other = tmp_path / "a_star" / "Charades_v1_480" / "video_11022.mp4"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another clip")
    made = convert("mvbench", source, tmp_path / "both", clips=tmp_path)
    assert {item.video for item in made.items} == {clips / "video_11022.mp4"}
    wrong = write_json(tmp_path / "moving_count.json", [item | {"answer": "Left."}])
    told = refused("mvbench", wrong, tmp_path / "no", clips=clips)
    assert "item 'moving_count-0': answer 'Left.' is none of the choices" in told


def test_of_two_clips_of_a_name_the_official_one_is_taken_or_none(tmp_path):
    source, clips = write_json(tmp_path / "in" / "train.json", [scene(3)]), tmp_path / "clips"

    def lies(place: str, content: bytes = b"a clip") -> None:
        (clips / place).parent.mkdir(parents=True, exist_ok=True)
        (clips / place).write_bytes(content)

    def taken(out: str) -> str:
        made = convert("clevrer", source, tmp_path / out, clips=clips)
        (video,) = {item.video for item in made.items}
        return str(video.relative_to(clips))

    lies("b/video_00003.webm")
    assert taken("one") == "b/video_00003.webm"
    lies("c/video_00003.mp4", b"other pictures")
    assert taken("ending") == "c/video_00003.mp4"
    lies("a/video_00003.mp4", b"and other ones")
    told = refused("clevrer", source, tmp_path / "torn", clips=clips)
    assert "1 of 1 clips are there twice" in told and "CLEVRER project" in told
    assert f"{clips / 'a' / 'video_00003.mp4'} and {clips / 'c' / 'video_00003.mp4'}" in told
    lies("video_train/video_00000-01000/video_00003.mp4", b"the right one")
    assert taken("official") == "video_train/video_00000-01000/video_00003.mp4"
    lies("a copy/video_train/video_00003.mp4", b"the right one")
    assert taken("copied") == "a copy/video_train/video_00003.mp4"


def test_youcook2(tmp_path):
    step = {"id": 0, "segment": [25, 37], "sentence": "cut the onion in half and dice"}
    video = {
        "duration": 241.64,
        "subset": "validation",
        "recipe_type": "212",
        "annotations": [step, {"id": 1, "segment": [37, 50], "sentence": "chop the carrots"}],
        "video_url": "watch?v=9GX8f5EwwE4",
    }
    source = tmp_path / "in"
    path = source / "youcookii_annotations_trainval.json"
    write_json(path, {"database": {"9GX8f5EwwE4": video, "x": video | {"subset": "training"}}})
    clip = tmp_path / "raw_videos" / "validation" / "212" / "9GX8f5EwwE4.webm"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"a clip")
    told = refused("youcook2", source, tmp_path / "out", clips=tmp_path / "raw_videos")
    assert "1 of 2 clips are not in" in told and "YouCook2" in told
    options = {"clips": tmp_path / "raw_videos", "missing": "drop"}
    made = convert("youcook2", source, tmp_path / "out", **options)
    assert [item.id for item in made.items] == ["9GX8f5EwwE4-0", "9GX8f5EwwE4-1"]
    first = made.items[0]
    assert (first.start, first.end, first.split) == (25.0, 37.0, "test")
    assert (first.answer, first.video) == ("cut the onion in half and dice", clip)
    for change, said in (
        ({"subset": ["testing"]}, "subset is ['testing']; known are training, validation"),
        ({"annotations": [step | {"segment": [37, 25]}]}, "start 37 s is not before end 25 s"),
        ({"annotations": [step | {"segment": 3}]}, "step 0 has no segment of two seconds"),
        ({"annotations": [step | {"sentence": ""}]}, "step 0 is ''; wanted a text"),
    ):
        write_json(path, {"database": {"9GX8f5EwwE4": video | change}})
        assert said in refused("youcook2", source, tmp_path / "no", **options)
