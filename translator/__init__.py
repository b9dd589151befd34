"""A small English-to-Korean translation trainer that can be read, run and looked inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translator.translate import Translator

__all__ = ["Translator"]


def __getattr__(name: str) -> object:
    """Import torch only when the translator is used, so that `import translator` stays instant."""
    if name == "Translator":
        from translator.translate import Translator

        return Translator
    raise AttributeError(f"module 'translator' has no attribute '{name}'")
