"""An answer by the model that sees the clip, with an adapter or by its base weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from assistant.errors import ConfigError
from assistant.sources import SOURCES, Source, perceiver
from assistant.tasks.recipes import Calibration
from assistant.vqa.answer import Answer
from assistant.vqa.candidates import candidates, lifts_of, surely
from assistant.vqa.drafts import Query
from assistant.vqa.forms import form_of
from assistant.vqa.request import Request, compose, expected_by, sources_read
from assistant.vqa.weighing import Weigher, load_weighing

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.dialogue.subtitles import Dialogue
    from assistant.model.assistant import VideoAssistant
    from assistant.model.features import ClipFeatures
    from assistant.model.hearing import Heard
    from assistant.tasks.prompts import TaskPrompt
    from assistant.vqa.asked import Asked
    from assistant.vqa.assistants import LoadedAdapter
    from assistant.vqa.clip import SessionClip

NO_SOUND = "the clip has no sound where it is asked about"
TEXT_ALONE = "{task} was trained on text alone and does not see the pictures"


def answer_by_model(
    model: VideoAssistant,
    asked: Asked,
    prompt: TaskPrompt,
    loaded: LoadedAdapter | None,
    *,
    said: Dialogue,
    seen: SessionClip,
    clip: ClipFeatures | None,
    without: Collection[str],
    task_score: float | None,
    warnings: Sequence[str],
    began: float,
    on_end: Callable[[dict[str, Any], str], None],
) -> Answer:
    """The answer to a question, to be streamed.

    Args:
        loaded: None: the base weights answer. said: in the range that is asked about.
        seen: the clip, whose range is ``clip``; None: it is not looked at.
        without: sources that are left out. task_score: see `Basis`.
        warnings: for the person. began: of `Answer`. on_end: gets what it rests on, and its text.
    """
    left_out = frozenset(without).union(loaded.recipe.without if loaded else ())
    chooses = bool(prompt.choices if asked.choices is None else asked.choices)
    reads = () if loaded or chooses else model.reads  # who has learned to read does not choose
    names = sources_read(prompt, asked.question, left_out, reads)
    sources = seen.perceive(asked.where, names) if clip is not None else ()
    settling = [source for source in sources if perceiver(source.name).answers(asked.question)]
    heard = _heard(asked, loaded, seen) if clip is not None else None
    request = compose(
        prompt,
        model,
        asked.plain,
        said=said,
        turns=asked.turns,
        sources=sources,
        choices=asked.choices,
        proposals=[
            told for s in settling for told in perceiver(s.name).propose(s.items, asked.question)
        ],
        max_new_tokens=asked.max_new_tokens,
        beams=asked.beams,
        adapter=loaded.key if loaded else None,
        without=left_out,
    )
    told = [source.warning for source in settling if source.warning]
    if heard is not None and not heard.mask.any():
        told.append(NO_SOUND)
    if seen.path is not None and clip is None:
        told.append(TEXT_ALONE.format(task=prompt.name))
    settled = [perceiver(s.name).settled(s.items, asked.question) for s in settling]
    basis = asked.basis(
        prompt,
        model.name,
        clip=clip,
        said=said,
        about_clip=seen.notes,
        warnings=[*told, *warnings],
        dropped_lines=request.dropped_lines,
        adapter=loaded.name if loaded else None,
        sources=sources,
        task_score=task_score,
        unfound=tuple(SOURCES[s.name].thing for s in settling if not s.items and not s.warning),
        settled="; ".join(filter(None, settled)) if request.proposals else "",
        answerable=bool(said) or not prompt.is_about_a_line,
        lacking=("dialogue",) if prompt.takes_dialogue and not said else (),
    )
    weigher = None if loaded else _weigher(model, asked, request, sources, seen)
    return Answer(
        basis,
        Query(
            model,
            request,
            None if clip is None else clip.patches,
            heard=heard,
            expected=_expected(model, loaded, prompt, said),
            weigher=weigher,
        ),
        calibration=loaded.recipe.calibration if loaded else Calibration(),
        prior=model.choice_prior * (loaded.recipe.prior if loaded else 1.0),
        began=began,
        on_end=partial(on_end, basis.as_dict()),
    )


def _heard(asked: Asked, loaded: LoadedAdapter | None, seen: SessionClip) -> Heard | None:
    """What the adapter hears in the range that is asked about; None: it does not listen.

    Raises:
        InputError, WeightsError: as `ear_of`.
    """
    if loaded is None or not loaded.recipe.hears:
        return None
    from assistant.model.audio import ear_of

    ear = ear_of(loaded.recipe)
    return None if ear is None else seen.hear(asked.where, ear)


def _expected(
    model: VideoAssistant, loaded: LoadedAdapter | None, prompt: TaskPrompt, said: Dialogue
) -> Tensor | None:
    """What the adapter is told of how expected the last line was; None: nothing.

    Raises:
        ConfigError: it was trained with another number of texts that could be said there.
    """
    if loaded is None or not loaded.recipe.regresses:
        return None
    from assistant.model.expectation import signals

    given = signals(prompt.expects)
    learned = loaded.recipe.transfer.expectation
    if given != learned:
        raise ConfigError(
            f"prompt {prompt.name}: expects gives {given} signals, and the adapter was "
            f"trained with {learned}: take the prompt that it was trained with"
        )
    return expected_by(model, prompt, said)


def _weigher(
    model: VideoAssistant,
    asked: Asked,
    request: Request,
    sources: Sequence[Source],
    seen: SessionClip,
) -> Weigher | None:
    """How a free answer of the base about a clip is weighed; None: it is not."""
    folder = model.reading
    if seen.path is None or folder is None or request.candidates or asked.beams is not None:
        return None
    weighing = load_weighing(folder)
    if weighing is None:
        return None
    form = form_of(asked.plain)
    recognised = asked.recognised.candidates(form) if asked.recognised else []
    return Weigher(
        form,
        weighing.of(form.kind),
        tuple(candidates(form, sources) + recognised),
        lambda texts: seen.likeness(asked.where, texts),
        lifts_of(sources),
        surely(form, sources),
    )
