"""Read the card and the results of a model repository of the hub, and commit changed ones.

Reading and writing are of one state: the commit is refused by the hub if the repository has changed in between. The
hub's library finds the token (`HF_TOKEN`, `hf auth login`); it is in no message.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evals.errors import EvalsError, InputError, one_line

CARD, RESULTS = "README.md", ".eval_results/"
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may"


@dataclass(frozen=True)
class RepositoryState:
    """A model repository at a commit, as far as it concerns results."""

    name: str
    """ORG/NAME."""
    commit: str
    """The commit that was read."""
    revision: str
    """The branch."""
    files: Mapping[str, str]
    """Texts of the card and the files of results that exist, by path."""


def read_repository(name: str, revision: str = "main") -> RepositoryState:
    """Read the card and the files of results of a model repository.

    Args:
        name: ORG/NAME.
        revision: a branch.

    Raises:
        InputError: there is no such repository, it cannot be read, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with _hub_errors(name, "read"):
        info = api.model_info(name, revision=revision)
        paths = [sibling.rfilename for sibling in info.siblings or []]
        wanted = [path for path in paths if path == CARD or (path.startswith(RESULTS) and path.endswith(".yaml"))]
        files = {path: _text(name, path, api.hf_hub_download(name, path, revision=info.sha)) for path in wanted}
    return RepositoryState(name, str(info.sha), revision, files)


def read_benchmark(dataset: str) -> str | None:
    """Return the `eval.yaml` of a data set, which registers it as a benchmark; None if it has none.

    Raises:
        InputError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with _hub_errors(dataset, "read"):
        try:
            return _text(dataset, "eval.yaml", api.hf_hub_download(dataset, "eval.yaml", repo_type="dataset"))
        except (EntryNotFoundError, RepositoryNotFoundError) as error:
            if "Cannot find an appropriate cached" in str(error):  # there is no network
                raise
            return None


def read_leaderboard(dataset: str) -> list[float]:
    """Return the values of the leaderboard of a data set; none if it has no leaderboard, or one that cannot be read.

    Raises:
        InputError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with _hub_errors(dataset, "read"):
        try:
            entries = api.get_dataset_leaderboard(dataset, base_model_only=False)
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                return []
            raise
        except (AttributeError, KeyError, TypeError, ValueError):  # other fields than this version of the library knows
            return []
    return [float(entry.value) for entry in entries if isinstance(entry.value, int | float)]


def commit_files(state: RepositoryState, files: Mapping[str, str], *, message: str, pull_request: bool) -> str:
    """Commit files to a repository whose state was read; all or none. Returns the address of the commit or request.

    Args:
        state: what was read.
        files: new texts by path.
        message: the commit's message.
        pull_request: open a pull request instead of committing to the branch.

    Raises:
        InputError: the token may not write, or the repository has changed since.
        EvalsError: the connection broke, so that it is not known whether the commit was made.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [CommitOperationAdd(path, text.encode()) for path, text in files.items()]
    with _hub_errors(state.name, "write"):
        done = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).create_commit(
            state.name,
            operations,
            commit_message=message,
            revision=state.revision,
            parent_commit=state.commit,
            create_pr=pull_request,
        )
    return str(done.pr_url or done.commit_url)


def _text(name: str, path: str, file: str) -> str:
    try:
        return Path(file).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} of {name} is not UTF-8: {error.reason}; correct it first") from error


@contextmanager
def _hub_errors(name: str, act: str) -> Iterator[None]:
    """Turn errors of the hub and of the network into one line that says what to do."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    transport_error = HfHubHTTPError.__bases__[0]  # of the HTTP library that the hub's library uses
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise InputError(f"the hub is not used, as HF_HUB_OFFLINE is set: unset it to {act} {name}") from error
    except HFValidationError as error:
        raise InputError(f"{name} is no repository of the hub: {one_line(error)}") from error
    except HfHubHTTPError as error:
        raise _refusal(name, act, error) from error
    except (transport_error, LocalEntryNotFoundError, EntryNotFoundError, OSError) as error:
        if act == "write":
            raise EvalsError(
                f"the connection to {name} broke while the commit was sent ({_short(error)}): whether it was made is "
                f"not known; the same command shows what is missing"
            ) from error
        raise InputError(f"the hub cannot be reached to {act} {name}: {_short(error)}") from error


def _refusal(name: str, act: str, error: Exception) -> EvalsError:
    """Say what the hub answered, by its status."""
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    if status in {401, 404}:
        return InputError(f"the hub has no repository {name}, or it is private: {_LOG_IN} {act} it ({status})")
    if status == 403:
        advice = "; anybody may open a pull request: --pull-request" if act == "write" else ""
        return InputError(f"the hub does not let you {act} {name}: {_LOG_IN} {act} it ({status}){advice}")
    if status in {409, 412}:
        return InputError(f"{name} has changed since it was read: run the command again ({status})")
    if act == "write" and status >= 500:
        return EvalsError(
            f"the hub failed while it made the commit to {name} ({status}): whether it was made is not known; the same "
            f"command shows what is missing"
        )
    return InputError(f"the hub refused to {act} {name}: {_short(error)}")


def _short(error: BaseException) -> str:
    """Return the first line of what an error says, and the next one if the first announces it with a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
