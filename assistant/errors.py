"""The exceptions a caller may meet.

    AssistantError            what the person can mend: the CLI prints one line and exits with 2
    ├── InputError            an option, a question, a JSONL line
    ├── ConfigError           a prompt, recipe, config or lock file
    ├── VideoError            a clip that cannot be opened or decoded
    │   └── VideoLimitError   decoding passed its time or memory limit
    ├── DialogueError         subtitles or dialogue that cannot be read
    ├── WeightsError          weights that cannot be fetched, verified or loaded
    ├── ModelError            a request that the loaded model cannot serve
    └── ResourceError         memory that the machine denies

Every message says what was met, what was wanted and what to do, in one line.
"""


class AssistantError(Exception):
    """Base of every error that its reader can mend."""


class InputError(AssistantError):
    """An option, a question or a data line is not usable."""


class ConfigError(AssistantError):
    """A prompt, recipe, config or lock file is not usable."""


class VideoError(AssistantError):
    """A clip cannot be opened or decoded."""


class VideoLimitError(VideoError):
    """Decoding passed its time or memory limit and was stopped."""


class DialogueError(AssistantError):
    """Subtitles or dialogue cannot be read."""


class WeightsError(AssistantError):
    """Weights cannot be fetched, verified or loaded."""


class ModelError(AssistantError):
    """The loaded model cannot serve the request."""


class ResourceError(AssistantError):
    """The machine denies memory that is needed."""
