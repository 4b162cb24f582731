"""Download weights, which only `--pretrained` requests."""

from pathlib import Path
from urllib.parse import urlparse

import torch

from flatqat.errors import WeightsError, first_line


def cache() -> Path:
    """Return the folder in which torch keeps downloaded weights: `$TORCH_HOME/hub/checkpoints`."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cached(url: str) -> Path:
    """Return the file of `url` in `cache()`, downloaded if necessary. Raises WeightsError if it cannot be.

    A download is checked against the hash in the file's name, and moved into place when it is complete.
    """
    path = cache() / Path(urlparse(url).path).name
    if path.is_file():
        return path
    named = torch.hub.HASH_REGEX.search(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), named.group(1) if named else None)
    except Exception as error:  # of the network, the disk or the hash
        raise unavailable(url, path.name, path.parent, error) from error
    return path


def unavailable(origin: str, file: str, folder: Path, error: Exception) -> WeightsError:
    """Return the error for a file that could not be downloaded."""
    return WeightsError(
        f"--pretrained: expected {file} in {folder} or at {origin}, got neither ({first_line(error)}); "
        f"download it on a machine with network access and pass it with --weights FILE"
    )
