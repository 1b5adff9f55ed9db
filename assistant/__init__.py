"""A conversational video assistant.

from assistant import load

session = load("mini").open("clip.mp4")
for piece in session.ask("What happens?"):
    print(piece, end="")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assistant.model.assistant import VideoAssistant
    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight
    from assistant.vqa.assistants import Assistant

__all__ = ["load"]


def load(
    name: str = "mini",
    *,
    base: Path | None = None,
    precision: str = "auto",
    quantize: str = "auto",
    device: str = "auto",
    frames: int = 8,
    space: str = "auto",
    sounds: str = "auto",
    sound_labels: Sequence[str] = (),
    llm: str | None = None,
    llm_name: str | None = None,
    store: FeatureStore | None = None,
    tell: Callable[[str], None] | None = None,
    now: bool = True,
) -> Assistant:
    """The named model, ready to open clips; fetches the weights that the cache lacks.

    Args:
        name: mini; a paper-scale model: a preset, a hub id, or a checkpoint's folder; or "auto":
            the best that fits and can be had. Without ``tell``, which gets the choice before, auto
            downloads nothing.
        base: a folder of other base weights, for mini.
        precision: "auto", "fp32", "bf16" or "fp16".
        quantize: "none", "8bit", "4bit" or "auto": what fits into the free memory; mini: none.
        device: "cpu", "cuda" or "auto": a GPU, where there is one; mini: the processor.
        frames: that memory is planned for, at paper scale.
        space: the joint space: "auto", the model's own; CLIP, SigLIP, SigLIP 2 or BLIP-2-ITM by hub
            id or folder.
        sounds: what names those that are heard: "auto", a head of ours; an audio classifier or a
            CLAP by hub id or folder.
        sound_labels: that a CLAP is asked for; (): some of everyday.
        llm: a language model of yours that answers instead, from what is perceived, as words: a
            hub id, a folder, or the address of an OpenAI-compatible server ("http://HOST/v1"). Of
            the named model only what looks is loaded, unless an adapter is asked for by name.
        llm_name: the model's name on that server; None: the only one there.
        store: where clip features are kept; by default memory and 2 GB of the cache folder.
        tell: gets terms and memory plan of a paper-scale model, a line each.
        now: False loads the model with the first question, after that was checked; who only looks
            loads the image encoder alone.
    Raises:
        InputError: unknown name or option. WeightsError: weights missing or damaged.
        ModelError: no CUDA, no bitsandbytes, not enough memory, or no server.
    """
    from assistant.model.features import FeatureStore
    from assistant.model.sound_naming import SoundNaming
    from assistant.vqa.assistants import Assistant, LaterAssistant
    from assistant.weights.base import name_of
    from assistant.weights.spaces import check_space

    if name == "auto":
        from assistant.errors import InputError
        from assistant.model.recommend import Wanted, choose_model

        if base is not None:
            raise InputError("auto chooses a model, and base is the weights of one; leave one out")
        choice = choose_model(Wanted(precision, quantize, frames), device, tell)
        name, quantize, device = choice.model, choice.quantize, choice.device
    given: dict[str, Any] = {"base": base, "precision": precision, "quantize": quantize}
    given |= {"device": device, "space": space, "tell": tell}

    def load_named() -> VideoAssistant:
        from assistant.model.loading import load_model  # takes seconds to import

        return load_model(name, frames=frames, **given)

    def load_eyes() -> Sight:
        from assistant.model.sight_loading import load_sight  # without transformers

        return load_sight(name, **given)

    naming = SoundNaming(sounds, tuple(sound_labels))
    naming.check()
    if now and llm is None and llm_name is None:
        return Assistant(load_named(), store, naming)
    check_space(space)
    kept = store or FeatureStore()
    if llm is not None or llm_name is not None:
        from assistant.model.chat.loading import find_chat_model
        from assistant.vqa.reading import ReadingAssistant

        places = {key: given[key] for key in ("device", "precision", "quantize", "tell")}
        speaker = find_chat_model(llm, llm_name, **places)
        reading = ReadingAssistant(
            speaker, name_of(name, base), load_named, kept, load_eyes, naming
        )
        if now:
            reading.load()
        return reading
    return LaterAssistant(name_of(name, base), load_named, kept, load_eyes, naming)
