"""Download and upload folders of recognizers: the Hugging Face Hub, through huggingface_hub, which is loaded when it is needed.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` work as in huggingface_hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from poseglot.errors import FileError, MissingPackageError, SettingError


def download(repository: str, files: Sequence[str], *, revision: str | None = None) -> Path:
    """Return the folder with some files of a repository, downloaded unless they are in the cache.

    Args:
        repository: `organisation/name`.
        files: The names of the files; those that the repository lacks are not there.
        revision: A branch, a tag or a commit; by default the main branch.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        SettingError: The name is not that of a repository.
        FileError: There is no such repository or revision, or it cannot be reached.
    """
    library = _library()
    with _errors(library, repository):
        return Path(library.snapshot_download(repository, revision=revision, allow_patterns=list(files)))


def upload(
    folder: Path,
    repository: str,
    *,
    files: Sequence[str],
    private: bool | None = None,
    token: str | None = None,
    message: str = "Upload a recognizer",
) -> str:
    """Upload files of a folder to a repository, which is made if there is none, and return the address of the commit.

    Raises:
        MissingPackageError, SettingError, FileError: As `download`.
    """
    library = _library()
    with _errors(library, repository):
        api = library.HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(files), commit_message=message)
    return str(commit.commit_url)


def _library() -> ModuleType:
    try:
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingPackageError(
            "the Hugging Face Hub needs the package 'huggingface_hub', which is not installed: pip install 'poseglot[hub]'."
        ) from error
    return huggingface_hub


@contextmanager
def _errors(library: ModuleType, repository: str) -> Iterator[None]:
    """Turn errors of the library into ours."""
    errors = library.errors
    try:
        yield
    except errors.HFValidationError as error:
        raise SettingError(
            f"{repository!r} is not the name of a repository of the Hub; expected organisation/name ({_line(error)})."
        ) from error
    # The bases are the HTTP client's errors, of connections, too; which client that is depends on the version. OSError: a full disk.
    except (*errors.HfHubHTTPError.__bases__, OSError) as error:
        raise FileError(f"the repository {repository} of the Hub could not be used: {_line(error)}.") from error


def _line(error: Exception) -> str:
    """Return the first sentences of an error, on one line."""
    return " ".join(str(error).split())[:300].rstrip(". ")
