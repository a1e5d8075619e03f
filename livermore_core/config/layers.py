"""Trees laid over each other, later ones on top, with the origin of every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMMAND_LINE = "command line"
DEFAULT = "default"
KeyPath = tuple[str, ...]


class Layers:
    """The merged tree in `values`, and where each key came from."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._origins: dict[KeyPath, str] = {}

    def add(self, tree: Mapping[str, Any], origin: str, path: KeyPath = ()) -> None:
        """Lay a whole tree on top; its tables merge with those below, everything else replaces."""
        if path:
            self.name(path, origin)
        for key, value in tree.items():
            if isinstance(value, Mapping):
                self.add(value, origin, (*path, key))
            else:
                self.put((*path, key), value, origin)

    def put(self, path: KeyPath, value: Any, origin: str) -> None:
        """Set one key."""
        if isinstance(value, Mapping):
            self.add(value, origin, path)
            return
        self._table(path[:-1], origin)[path[-1]] = value
        self._origins[path] = origin

    def name(self, path: KeyPath, origin: str) -> None:
        """Make sure that a table is there."""
        self._table(path, origin)

    def remove(self, path: KeyPath) -> None:
        """Forget one key."""
        table = self.table(*path[:-1])
        if path[-1] in table:
            del table[path[-1]]
            del self._origins[path]

    def table(self, *path: str) -> dict[str, Any]:
        """The table at a path; an empty one where there is none or something else stands there."""
        node: Any = self.values
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        return node if isinstance(node, dict) else {}

    def origin(self, path: KeyPath) -> str:
        """Where a key came from; for a table, where its first key did."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._origins:
                return self._origins[path[:length]]
        return DEFAULT

    def origins(self) -> dict[str, str]:
        """Every key that is set, dotted, with its origin."""
        return {".".join(path): origin for path, origin in self._origins.items()}

    def _table(self, path: KeyPath, origin: str) -> dict[str, Any]:
        node = self.values
        for length, part in enumerate(path, start=1):
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
                self._origins[path[:length]] = origin
            node = child
        return node
