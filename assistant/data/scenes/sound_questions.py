"""Questions about a clip with sound: such that only sound answers, and such that need sight, too.

As everywhere the answer is drawn first. Who looks without listening knows which objects move and
when, not what they let be heard; who listens without looking knows what was heard and when, not
from which object. Beside them stand the questions about motion, which need no sound.
"""

from collections.abc import Callable
from itertools import permutations

import numpy as np

from assistant.data.scenes.clip_questions import YES_NO, ask_clip
from assistant.data.scenes.kinds import name_of, pick, unique_kinds
from assistant.data.scenes.questions import Question
from assistant.data.scenes.sounding import Sound, SoundingScene
from assistant.data.scenes.timbres import KINDS, SAID

BY_SOUND = {"heard": 1, "heard_count": 2, "heard_order": 1}
BY_BOTH = {"sounding_object": 2, "heard_at": 2, "makes_sound": 2}
"""How many of a type are asked of a clip, at most: answered by sound alone, and with sight."""

MOST_COUNTED = 4
COUNTS = tuple(str(number) for number in range(MOST_COUNTED + 1))
COUNT_WEIGHTS = (0.5, 0.6, 1.4, 3.0, 8.0)  # against the rarity of many
WORDINGS = {
    "heard": ("What was heard, a {0} or a {1}?", "Was it a {0} or a {1} that was heard?"),
    "heard_count": ("How many {0}s were heard?", "How many {0}s are there to be heard?"),
    "sounding_object": ("Which one {0}, the {1} or the {2}?",),
    "makes_sound": ("Did the {0} make a sound?", "Was the {0} heard?"),
}
ORDER_WORDINGS = {
    "first": "What was heard first, the {0} or the {1}?",
    "last": "What was heard last, the {0} or the {1}?",
}
AT_WORDINGS = {
    "move": "What was heard when the {0} moved?",
    "stop": "What was heard when the {0} stopped?",
    "hit": "What was heard when the {0} hit another object?",
}


def ask_sounding(clip: SoundingScene, rng: np.random.Generator) -> tuple[Question, ...]:
    """Questions that need sound, of each type that the clip allows, and those about motion."""
    asked: dict[str, Question] = {}
    for name, count in (BY_SOUND | BY_BOTH).items():
        for _ in range(count):
            question = _BUILDERS[name](clip, rng)
            if question is not None:
                asked.setdefault(question.question, question)
    return (*asked.values(), *ask_clip(clip.moving, rng))


def _heard(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """Of a kind that is heard and one that is not."""
    heard = {sound.kind for sound in clip.sounds}
    pairs = [(one, other) for one, other in permutations(KINDS, 2) if one in heard]
    pairs = [pair for pair in pairs if pair[1] not in heard]
    if not pairs:
        return None
    answer, other = pick(rng, pairs)
    words = (answer, other) if rng.random() < 0.5 else (other, answer)
    return _question(clip, "heard", pick(rng, WORDINGS["heard"]).format(*words), answer, words)


def _heard_count(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """The count first, then a kind that is heard so often."""
    found: dict[int, list[str]] = {}
    for kind in KINDS:
        times = sum(len(sound.onsets) for sound in clip.sounds if sound.kind == kind)
        if times <= MOST_COUNTED:
            found.setdefault(times, []).append(kind)
    reachable = sorted(found)
    weights = np.array([COUNT_WEIGHTS[times] for times in reachable])
    times = int(rng.choice(reachable, p=weights / weights.sum()))
    text = pick(rng, WORDINGS["heard_count"]).format(pick(rng, found[times]))
    return _question(clip, "heard_count", text, str(times), COUNTS)


def _heard_order(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """Of two kinds, all of the one before all of the other."""
    spans = {kind: [sound.start for sound in clip.sounds if sound.kind == kind] for kind in KINDS}
    heard = [kind for kind in KINDS if spans[kind]]
    found = [(a, b) for a, b in permutations(heard, 2) if max(spans[a]) < min(spans[b])]
    if not found:
        return None
    first, last = pick(rng, found)
    words = (first, last) if rng.random() < 0.5 else (last, first)
    asked = pick(rng, tuple(ORDER_WORDINGS))
    answer = first if asked == "first" else last
    return _question(clip, "heard_order", ORDER_WORDINGS[asked].format(*words), answer, words)


def _sounding_object(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """Of two that took their turns, of which one made the sound that is asked for."""
    kinds = dict.fromkeys(_turns(clip), "") | {s.index: s.kind for s in clip.sounds}
    named = [index for index in _turns(clip) if _has_name(clip, index)]
    found = [
        (index, other)
        for index, other in permutations(named, 2)
        if kinds[index] and kinds[other] != kinds[index]
    ]
    if not found:
        return None
    index, other = pick(rng, found)
    asked = (index, other) if rng.random() < 0.5 else (other, index)
    names = {one: name_of(clip.scene, rng, clip.scene.objects[one]) for one in asked}
    words = tuple(names.values())
    text = pick(rng, WORDINGS["sounding_object"]).format(SAID[kinds[index]], *words)
    return _question(clip, "sounding_object", text, names[index], words, asked)


def _heard_at(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """Of one object's sound, among what else is heard."""
    kinds = tuple(kind for kind in KINDS if any(sound.kind == kind for sound in clip.sounds))
    found = [sound for sound in clip.sounds if _has_name(clip, sound.index)]
    if len(kinds) < 2 or not found:
        return None
    kind = pick(rng, sorted({sound.kind for sound in found}))
    sound: Sound = pick(rng, [sound for sound in found if sound.kind == kind])
    name = name_of(clip.scene, rng, clip.scene.objects[sound.index])
    text = AT_WORDINGS[sound.occasion].format(name)
    return _question(clip, "heard_at", text, sound.kind, kinds, (sound.index,))


def _makes_sound(clip: SoundingScene, rng: np.random.Generator) -> Question | None:
    """Of a clip in which one that moves is heard and another one is not."""
    heard = {sound.index for sound in clip.sounds}
    pools = {
        answer: [
            i for i in _turns(clip) if (i in heard) == (answer == "yes") and _has_name(clip, i)
        ]
        for answer in YES_NO
    }
    if not all(pools.values()):
        return None
    answer = pick(rng, YES_NO)
    index = pick(rng, pools[answer])
    name = name_of(clip.scene, rng, clip.scene.objects[index])
    text = pick(rng, WORDINGS["makes_sound"]).format(name)
    return _question(clip, "makes_sound", text, answer, YES_NO, (index,))


def _turns(clip: SoundingScene) -> list[int]:
    """Objects that set themselves going."""
    hit = {hit.second for hit in clip.moving.collisions}
    return [move.index for move in clip.moving.moves if move.index not in hit]


def _has_name(clip: SoundingScene, index: int) -> bool:
    return bool(unique_kinds(clip.scene, clip.scene.objects[index]))


def _question(
    clip: SoundingScene,
    name: str,
    text: str,
    answer: str,
    choices: tuple[str, ...],
    about: tuple[int, ...] = (),
) -> Question:
    held_out = any(clip.scene.objects[index].held_out for index in about)
    choices = choices if choices in (YES_NO, COUNTS) else tuple(sorted(choices))
    return Question(name, text, answer, choices, held_out, tuple((index,) for index in about))


_BUILDERS: dict[str, Callable[[SoundingScene, np.random.Generator], Question | None]] = {
    "heard": _heard,
    "heard_count": _heard_count,
    "heard_order": _heard_order,
    "sounding_object": _sounding_object,
    "heard_at": _heard_at,
    "makes_sound": _makes_sound,
}
