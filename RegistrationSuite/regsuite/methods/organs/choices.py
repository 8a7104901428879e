"""What was chosen for every organ: the organs' own numbers where a table has them, and one number for all elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regsuite.catalog.cells import by_row
from regsuite.catalog.organs import BcpdParameters, MoBcpdParameters
from regsuite.couplings import coherence_matrix, place_of, transition_matrix


class Choices:
    """By organ, in the order of ``names``. InputError where a table names another organ, or a matrix cannot be."""

    def __init__(self, parameters: BcpdParameters, names: Sequence[str]) -> None:
        self.parameters, self.names = parameters, names
        self.several = parameters if isinstance(parameters, MoBcpdParameters) else None
        rows = by_row(self.several.organs) if self.several is not None else {}
        self._own: dict[int, dict[str, float]] = {}
        for name, row in rows.items():
            self._own.setdefault(place_of(name, names, "table of organs"), {}).update(row)
        self.coherence, self.transitions = self._matrices()

    def _matrices(self) -> tuple[Tensor, Tensor]:
        """S and U; of one organ where all are one."""
        chosen = self.several
        if chosen is None:
            return torch.ones(1, 1), torch.ones(1, 1)
        coherence = coherence_matrix(self.names, chosen.coherence, chosen.coherence_matrix)
        transitions = transition_matrix(self.names, chosen.label_errors, chosen.transition_matrix)
        return torch.from_numpy(coherence).float(), torch.from_numpy(transitions).float()

    def each(self, name: str) -> list[Any]:
        """A parameter's value for every organ, in its own type."""
        general = getattr(self.parameters, name)
        return [type(general)(self._own.get(place, {}).get(name, general)) for place in range(len(self.names))]
