"""Sections of the report."""

from dataclasses import dataclass
from typing import Any

from evaluation.tables import Table


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the report."""

    id: str
    title: str
    lead: str  # the content of the section, or the run that it needs if it has no data
    tables: tuple[Table, ...] = ()
    figures: tuple[Any, ...] = ()
    beside: tuple[Table, ...] = ()  # tables of the papers, for comparison

    @property
    def empty(self) -> bool:
        """True if the section has no data: neither a table nor a plot of its own."""
        return not self.tables and not self.figures
