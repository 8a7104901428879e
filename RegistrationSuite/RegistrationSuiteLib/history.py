"""The runs before the last one, kept in a panel's state, so that they can be undone one after another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from RegistrationSuiteLib.state import FIXED, MADE, MOVING, RESULT, PanelState

COUNT = "history"
"""Key of how many runs there are to go back to; those of one run begin with this, a dot and its number."""


class History:
    """What was asked before each run, and the results that were there then; saved with the scene."""

    def __init__(self, state: PanelState) -> None:
        self._state = state

    def __len__(self) -> int:
        return int(self._state.text(COUNT, "0"))

    def push(self, texts: Mapping[str, str], inputs: Mapping[str, Any]) -> None:
        """Keeps the last run's results and, by name, texts and input nodes, before another run takes their place."""
        number, state = len(self), self._state
        for role in self._roles_of_a_run():
            state.set_references(self._key(number, role), state.references(role))
        for name, node in inputs.items():
            state.set_reference(self._key(number, f"input.{name}"), node)
        state.set_text(self._key(number, "texts"), json.dumps(dict(texts)))
        state.set_text(self._key(number, "inputs"), json.dumps(list(inputs)))
        state.set_text(COUNT, str(number + 1))

    def asked(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Texts and input nodes as they were before the last run; both empty where none is kept."""
        if not len(self):
            return {}, {}
        number, state = len(self) - 1, self._state
        texts = json.loads(state.text(self._key(number, "texts")))
        names = json.loads(state.text(self._key(number, "inputs")))
        return texts, {name: state.reference(self._key(number, f"input.{name}")) for name in names}

    def pop(self) -> None:
        """The results from before the last run are the last ones again; of no run where none is kept."""
        if len(self):
            number = len(self) - 1
            prefix = self._key(number, "")
            for role in self._roles(prefix):
                if not role.startswith(self._key(number, "input.")):
                    self._state.set_references(role.removeprefix(prefix), self._state.references(role))
            self._forget(number)

    def clear(self) -> None:
        """There is nothing to go back to any more."""
        while len(self):
            self._forget(len(self) - 1)

    def _forget(self, number: int) -> None:
        for role in self._roles(self._key(number, "")):
            self._state.set_references(role, [])
        for name in ("texts", "inputs"):
            self._state.set_text(self._key(number, name), "")
        self._state.set_text(COUNT, str(number))

    def _key(self, number: int, name: str) -> str:
        return f"{COUNT}.{number}.{name}"

    def _roles_of_a_run(self) -> list[str]:
        return [*self._roles(RESULT), MADE, FIXED, MOVING]

    def _roles(self, prefix: str) -> list[str]:
        roles: list[str] = []
        self._state.node.GetNodeReferenceRoles(roles)
        return [role for role in roles if role.startswith(prefix)]
