"""The README.md of a trained model: what it was made of, how, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from mmreason.video.plain_text import show_line


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What the caller knows of a model.

    Example:
        >>> card = ModelCard(title="Kitchen", base_model="nano", metrics={"eval/loss": 0.25})
        >>> "eval/loss | 0.25" in card.to_markdown()
        True
    """

    title: str
    base_model: str
    license: str = ""
    """Of the base model, where it is known."""
    is_adapter: bool = False
    data: Mapping[str, str] = field(default_factory=dict)
    """Of each data set: file or name, to its digest."""
    settings: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """The page, with the header that model hubs read. Foreign text stays in its cells."""
        header = {
            "base_model": self.base_model,
            "library_name": "peft" if self.is_adapter else "transformers",
            "tags": ["mmreason", *(["lora"] if self.is_adapter else [])],
        }
        if self.license:
            header["license"] = self.license
        lines = [
            "---",
            yaml.safe_dump(header, sort_keys=True, allow_unicode=True).rstrip(),
            "---",
            "",
            f"# {_cell(self.title)}",
            "",
            f"Trained by mmreason from {_cell(self.base_model)}.",
            *(f"\n{_cell(note)}" for note in self.notes),
        ]
        metrics = {name: f"{value:.6g}" for name, value in self.metrics.items()}
        for title, columns, rows in (
            ("Figures", ("Figure", "Value"), metrics),
            ("Data", ("Data", "Digest"), self.data),
            ("Settings", ("Setting", "Value"), self.settings),
        ):
            if rows:
                lines += ["", f"## {title}", "", "| {} | {} |".format(*columns), "| --- | --- |"]
                lines += [f"| {_cell(name)} | {_cell(rows[name])} |" for name in rows]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text in one line that neither ends a cell nor becomes markup."""
    plain = show_line(str(text)).replace("\\", "\\\\")
    for sign in "|<`*[":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
