"""What a source said of a clip as a file, beside the clip's features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.shortage import pass_on_memory
from assistant.sources import Perceived, Source

if TYPE_CHECKING:
    from assistant.model.features import FeatureKey


def source_file(key: FeatureKey, name: str, fingerprint: str) -> str:
    """What the file of the source ``name`` is called: as its clip's, and by its fingerprint."""
    return f"{key.stem}.{name}-{_digest(fingerprint)[:16]}.json"


def source_bytes(source: Source, key: FeatureKey, fingerprint: str) -> bytes:
    """Its content: what was said, and a checksum of that and of all that decided it."""
    said = asdict(source)
    return json.dumps({"said": said, "sha256": _checksum(said, key, fingerprint)}).encode()


def read_source(path: Path, key: FeatureKey, name: str, fingerprint: str) -> Source | None:
    """What ``path`` says; None, and the file is gone, when it is damaged or another's."""
    try:
        found = json.loads(path.read_bytes())
        said = found["said"]
        if said["name"] != name or found["sha256"] != _checksum(said, key, fingerprint):
            raise ValueError("another's, or changed")
        items = [Perceived(**_tuples(item)) for item in said.pop("items")]
        return Source(**_tuples(said), items=tuple(items))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        pass_on_memory(error)
        path.unlink(missing_ok=True)
        return None


def _checksum(said: Any, key: FeatureKey, fingerprint: str) -> str:
    return _digest(json.dumps([said, asdict(key), fingerprint], sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {key: _tuples(one) for key, one in value.items()} if isinstance(value, dict) else value
