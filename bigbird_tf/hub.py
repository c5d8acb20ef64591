"""Finds the files of a pretrained model: in a directory, in the package, or on the hub."""

import difflib
import hashlib
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from bigbird_tf.types import Tensor

__all__ = ["describe_files", "find_file", "require_file", "shipped_models"]

_MOST_PULL_REQUESTS = 10
_SHIPPED = Path(__file__).parent / "shipped"


def shipped_models() -> dict[str, Path]:
    """Returns the models that come with the package: their directories by name."""
    return {path.name: path for path in sorted(_SHIPPED.iterdir()) if path.is_dir()}


def find_file(
    name_or_path: str | os.PathLike,
    filename: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path | None:
    """Returns the path of one file of a pretrained model, or `None` where it has no such file.

    Args:
        name_or_path: A directory; the name of a model that ships with the package, such as
            `"bigbird-docs-qa-mini"`; or the id of a repository on the hub, such as
            `"google/bigbird-roberta-base"`. The first of these that there is wins.
        filename: The file's name, such as `"config.json"`.
        revision: Branch, tag or commit on the hub.
        cache_dir: Where downloads are kept, instead of `huggingface_hub`'s own folder.
        token: Access token of the hub, or `True` for the one that is stored.
        local_files_only: Look only at what has been downloaded before.

    Returns:
        The file's path; `None` if the directory or the repository has no such file. Where the hub
        is not to be asked (`local_files_only`, HF_HUB_OFFLINE) that means that it is not in the
        cache, though other files of the repository are.

    Raises:
        FileNotFoundError: If `name_or_path` is neither a directory nor a repository that can be
            reached; a hub that does not answer is asked once. The message says what was tried, and
            names the nearest directory or shipped model.
        PermissionError: If the hub refuses the token.
        OSError: If the download breaks off, or what came is not what the hub has (by its size, or
            by the SHA-256 that it gives for large files). Nothing of it stays in the cache.
    """
    path = Path(name_or_path).expanduser()
    cache_dir = None if cache_dir is None else Path(cache_dir)
    if not path.exists():
        path = shipped_models().get(str(name_or_path), path)
    if path.is_dir():
        file = path / filename
        return file if file.is_file() else None
    if path.is_file():
        raise FileNotFoundError(
            f"`name_or_path` must be a directory or a repository id of the hub. Received the "
            f"file: {path}. Pass the directory that holds it: {path.parent}"
        )

    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name_tried = (
        f"No directory {str(name_or_path)!r}, no such model among those that ship "
        f"({', '.join(shipped_models())})"
    )

    def look_up(name):
        return try_to_load_from_cache(
            str(name_or_path), name, cache_dir=cache_dir, revision=revision
        )

    is_offline = local_files_only or constants.HF_HUB_OFFLINE
    unreachable = None
    try:
        cached = look_up(filename)
        if not is_offline and not isinstance(cached, str):
            unreachable = _ask_once(str(name_or_path), filename, revision, token)
        downloaded = hf_hub_download(
            str(name_or_path),
            filename,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only or unreachable is not None,
        )
        if downloaded != cached:
            _verify(Path(downloaded))
        return Path(downloaded)
    except HFValidationError as error:
        raise FileNotFoundError(
            f"No directory {str(name_or_path)!r}, and it cannot be the id of a repository of the "
            f"hub either (such as 'google/bigbird-roberta-base').{_advice(path)}"
        ) from error
    except LocalEntryNotFoundError as error:
        is_known_to_be_missing = cached is not None and not isinstance(cached, str)
        if is_known_to_be_missing or (is_offline and isinstance(look_up("config.json"), str)):
            return None
        if isinstance(unreachable, HfHubHTTPError):
            raise _error_of_status(str(name_or_path), filename, unreachable) from unreachable
        if is_offline:
            raise FileNotFoundError(
                f"{name_tried}, and {filename!r} of the hub's repository of that name is not in "
                "the cache; the hub is not to be asked (`local_files_only`, HF_HUB_OFFLINE)."
                f"{_advice(path)}"
            ) from error
        raise FileNotFoundError(
            f"{name_tried}, and the hub cannot be reached to look for a repository of that name."
            f"{_advice(path)} Check the spelling and the connection. The hub's client says: "
            f"{unreachable or error}"
        ) from (unreachable or error)
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"The hub's repository {str(name_or_path)!r} is gated: ask for access on its page, "
            f"then pass `token=`. The hub's client says: {error}"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"The hub's repository {str(name_or_path)!r} has no `revision` {revision!r}."
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{name_tried}, and the hub has no repository of that name (or it is private: pass "
            f"`token=`).{_advice(path)} The hub's client says: {error}"
        ) from error
    except EntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        raise _error_of_status(str(name_or_path), filename, error) from error
    except (OSError, HTTPError) as error:
        raise OSError(
            f"{filename!r} of {str(name_or_path)!r} could not be downloaded whole, and nothing of "
            f"it was kept. Try again. The hub's client says: {error}"
        ) from error


def _error_of_status(repo_id: str, filename: str, error: Any) -> OSError:
    """Returns what to raise for an answer of the hub that is no file, by its status."""
    if error.response.status_code not in (401, 403):
        return OSError(f"The hub could not give {filename!r} of {repo_id!r}: {error}")
    return PermissionError(
        f"The hub refuses access to {repo_id!r}: check `token=` (or HF_TOKEN, or what `hf auth "
        f"login` stored). The hub's client says: {error}"
    )


def _advice(path: Path) -> str:
    """Names the directory beside a path, or the shipped model, whose name is most like it."""
    try:
        beside = {str(entry): entry.name for entry in path.parent.iterdir() if entry.is_dir()}
    except OSError:
        beside = {}
    names = {name: name for name in shipped_models()} | beside
    close = difflib.get_close_matches(path.name, names.values(), n=1, cutoff=0.7)
    return next((f" Did you mean {given!r}?" for given in names if names[given] in close), "")


def _ask_once(
    repo_id: str, filename: str, revision: str | None, token: str | bool | None
) -> Exception | None:
    """Asks the hub about a file, without a second try.

    `hf_hub_download` tries for half a minute where nothing is in the cache that it could return
    instead, and cannot be told not to.

    Returns:
        What went wrong, if the hub cannot be reached or is out of order, or forbids the file, of
        which `hf_hub_download` makes a hub that cannot be reached; `None` for any other answer.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, RepositoryNotFoundError

    try:
        get_hf_file_metadata(
            hf_hub_url(repo_id, filename, revision=revision),
            token=token,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
    except HfHubHTTPError as error:
        status = error.response.status_code
        # Gated repositories have an error of their own, with this status, too.
        is_forbidden = status == 403 and not isinstance(error, RepositoryNotFoundError)
        return error if is_forbidden or status in (408, 429) or status >= 500 else None
    except (OSError, HTTPError) as error:
        return error
    return None


def _verify(file: Path) -> None:
    """Compares a file that was just downloaded with the hub's SHA-256 of it, if there is one.

    The hub's client compares sizes only. It names what it keeps by what the hub calls its version,
    which for large files is the SHA-256. Where a cache has no symbolic links (Windows) the name is
    lost, and the size is all that is checked.

    Raises:
        OSError: If they differ. The file is removed from the cache then.
    """
    blob = file.resolve()
    expected = blob.name
    if not re.fullmatch("[0-9a-f]{64}", expected):
        return
    with blob.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != expected:
        file.unlink()
        blob.unlink(missing_ok=True)
        raise OSError(
            f"its SHA-256 must be {expected}. Received a file with SHA-256 {found}: it was damaged "
            "on its way"
        )


def describe_files(
    name_or_path: str | os.PathLike,
    wanted: Collection[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    **_: Tensor,
) -> str:
    """Returns sentences for a message that a file is missing: what there is instead.

    Args:
        name_or_path: As in `find_file`.
        wanted: Names of files. Where the hub's repository has one of them in a pull request only,
            as those of its own bot that converts weights, that is said.
        revision, token, local_files_only: As in `find_file`.

    Returns:
        The sentences, with a space before each; nothing where the hub cannot be asked.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return f" It has: {_listing(entry.name for entry in path.iterdir())}."

    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    if local_files_only or constants.HF_HUB_OFFLINE:
        return ""
    api = HfApi(token=token)
    try:
        files = api.list_repo_files(str(name_or_path), revision=revision)
        text = f" It has: {_listing(files)}."
        refs = api.list_repo_refs(str(name_or_path), include_pull_requests=True)
        for request in (refs.pull_requests or [])[-_MOST_PULL_REQUESTS:]:
            found = set(api.list_repo_files(str(name_or_path), revision=request.ref)) & set(wanted)
            if found:
                text += (
                    f" {_listing(found)} is in a pull request: pass revision={request.ref!r}, once "
                    "you have looked at it on the hub."
                )
                break
    except (HfHubHTTPError, HTTPError, OSError, ValueError):
        return ""
    return text


def _listing(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "") or "nothing"


def require_file(name_or_path: str | os.PathLike, filename: str, **kwargs: Any) -> Path:
    """Like `find_file`, but a missing file is an error.

    Raises:
        FileNotFoundError: If the file is not there. The message lists what is, for a directory.
    """
    file = find_file(name_or_path, filename, **kwargs)
    if file is not None:
        return file
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        raise FileNotFoundError(
            f"The directory {path} has no {filename!r}.{describe_files(path, ())} Expected "
            "what `save_pretrained` writes (config.json, model.safetensors, spiece.model)."
        )
    raise FileNotFoundError(f"The hub's repository {str(name_or_path)!r} has no {filename!r}.")
