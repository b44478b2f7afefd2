"""Applied versions: over the control API when a gateway answers, else from the store of the state directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from proxy.cli.exits import ProblemError, UsageError
from proxy.cli.places import default_state_dir, environment, find_gateway

if TYPE_CHECKING:
    from proxy.cli.api import Api
    from proxy.config.state import StoredVersion

_NUMBER = re.compile(r"v?([0-9]{1,9})\Z")
_HASH = re.compile(r"[0-9a-f]{7,64}\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """One applied text. `text` is empty in a list."""

    number: int
    hash: str
    applied_at: str
    """RFC 3339."""
    who: str
    through: str
    why: str
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        """Without the text."""
        names = ("number", "hash", "applied_at", "who", "through", "why")
        return {name: getattr(self, name) for name in names}


class VersionSource(Protocol):
    """Where versions of one policy file come from."""

    file: str

    def versions(self) -> list[Version]:
        """Newest first, without texts."""

    def text(self, version: Version) -> str:
        """The text of one of them."""


def find(source: VersionSource, name: str) -> Version:
    """The version that `name` means: `v3` or `3`, a hash or the first seven characters of one. Raises UsageError."""
    listed = source.versions()
    number, digest = _NUMBER.match(name), _HASH.match(name.lower())
    found = [item for item in listed if number is not None and item.number == int(number[1])]
    if not found and digest is not None:
        found = [item for item in listed if item.hash.startswith(name.lower())]
        if len({item.hash for item in found}) > 1:
            raise UsageError(f"several versions of {source.file} have a hash that begins with {name}")
    if number is None and digest is None:
        raise UsageError(f"{name} is no version: write v3, or at least 7 characters of its hash")
    if not found:
        raise UsageError(f"{source.file} has no version {name}; kt policy history lists them")
    return found[0]


def is_version(name: str) -> bool:
    """Whether `name` may be meant as a version."""
    return _NUMBER.match(name) is not None or _HASH.match(name) is not None


class ApiVersions:
    """Versions of the file a running gateway serves."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.config: dict[str, Any] = api.get("/v1/config")
        self.file = str(self.config["path"])

    def versions(self) -> list[Version]:
        """Newest first, without texts."""
        return [_from_json(item) for item in self.api.get("/v1/config/versions")["versions"]]

    def text(self, version: Version) -> str:
        """The text of one of them."""
        return str(self.api.get(f"/v1/config/versions/{version.hash}")["text"])

    def restore(self, version: Version, why: str) -> dict[str, Any]:
        """Apply it as a new version, unless the file changes meanwhile."""
        present = self.config["file"]["hash"] or self.config["hash"]
        body = {"hash": version.hash, "why": why}
        answer: dict[str, Any] = self.api.post(
            "/v1/config/restore", body, headers={"If-Match": f'"{present}"'}
        )
        return answer


class StoreVersions:
    """Versions that a state directory keeps, read without a gateway."""

    def __init__(self, store: Path, file: str) -> None:
        self.store, self.file = store, file

    def versions(self) -> list[Version]:
        """Newest first, without texts."""
        from proxy.config.read_versions import VersionsUnreadableError, stored_versions

        try:
            return [_from_stored(item) for item in stored_versions(self.store, self.file)]
        except VersionsUnreadableError as error:
            raise ProblemError(str(error)) from None

    def text(self, version: Version) -> str:
        """The text of one of them."""
        from proxy.config.read_versions import VersionsUnreadableError, stored_version

        try:
            found = stored_version(self.store, version.number)
        except VersionsUnreadableError as error:
            raise ProblemError(str(error)) from None
        if found is None:
            raise ProblemError(f"version {version.number} is no longer in {self.store}")
        return found.text


def version_source(file: Path | None, api: str | None, state_dir: Path | None) -> ApiVersions | StoreVersions:
    """Where to look. `file` is needed only when the store has versions of several files. Raises UsageError."""
    env = environment()
    state = state_dir or default_state_dir(env)
    gateway = find_gateway(api, state, env)
    if gateway is not None:
        from proxy.cli.api import Api

        running = ApiVersions(Api(gateway))
        if file is None or _same(running.file, file):
            return running
        if api is not None:
            raise UsageError(f"the gateway at {gateway.api} runs {running.file}, not {file}")
    store = state / "versions.db"
    if not store.exists():
        raise UsageError(
            f"there are no versions in {state}; name a state directory with --state-dir, or --api"
        )
    return StoreVersions(store, _stored_file(store, file))


def _stored_file(store: Path, file: Path | None) -> str:
    from proxy.config.read_versions import VersionsUnreadableError, stored_paths

    try:
        paths = stored_paths(store)
    except VersionsUnreadableError as error:
        raise ProblemError(str(error)) from None
    if file is not None:
        for path in paths:
            if _same(path, file):
                return path
        raise UsageError(f"{store} has no version of {file}")
    if len(paths) != 1:
        told = f"versions of several files ({', '.join(paths[:5])}); name one with --file"
        raise UsageError(f"{store} has {told if paths else 'no versions'}")
    return paths[0]


def _same(path: str, file: Path) -> bool:
    return path == str(file) or Path(path).resolve() == file.resolve()


def _from_json(item: Mapping[str, Any]) -> Version:
    return Version(
        int(item["number"]),
        str(item["hash"]),
        str(item["applied_at"]),
        str(item["who"]),
        str(item["through"]),
        str(item["why"]),
    )


def _from_stored(item: StoredVersion) -> Version:
    from proxy.base.times import rfc3339

    return Version(item.number, item.hash, rfc3339(item.applied_at_ms), item.who, item.through, item.why)
