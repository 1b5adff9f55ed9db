"""``--model auto`` in every command: settled before it runs, said before anything is fetched."""

import argparse

from assistant.cli.options import say
from assistant.errors import InputError

AUTO = "auto"


def settle_model(args: argparse.Namespace) -> None:
    """``auto`` becomes the best model that fits here and can be had, with its precision and place.

    Raises:
        InputError: something else was named with it that only one model has.
    """
    if getattr(args, "model", None) != AUTO:
        return
    if getattr(args, "base", None) is not None:
        raise InputError("auto chooses a model, and --base is the weights of one; leave one out")
    quiet = getattr(args, "quiet", False)
    if getattr(args, "llm", None):  # it reads what mini perceives
        args.model = "mini"
        say("auto: mini, which sees for the --llm", quiet)
        return
    from assistant.model.recommend import Wanted, choose_model

    given = {
        name: value
        for name in ("precision", "quantize", "frames")
        if (value := getattr(args, name, None)) is not None
    }
    tell = None if quiet else say
    choice = choose_model(Wanted(**given), getattr(args, "device", AUTO), tell)
    args.model, args.quantize, args.device = choice.model, choice.quantize, choice.device
