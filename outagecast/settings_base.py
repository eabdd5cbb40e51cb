"""What the settings of all rooms are made of: a frozen model that refuses unknown keys.

Every ValueError raised in settings is read by a person behind `file:line: section.key: `: it says what is wrong and, in
brackets, the mend; it never repeats the value of a secret.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, model_validator


class Surroundings(Protocol):
    """What a settings file may point at. `config.py` hands one in as the validation context; nobody else reads."""

    def path(self, text: str) -> Path:
        """A path of the file, relative ones seen from the folder of the settings file."""
        ...

    def secret(self, source: Mapping[str, object]) -> str:
        """What `{ env = "NAME" }` or `{ file = "PATH" }` stands for; ValueError if it cannot be had."""
        ...


class Settings(BaseModel):
    """One table of the settings. Made by `load_config`, or directly by field names where a program needs one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )
    sub_tables: ClassVar[type["Settings"] | None] = None
    """What a sub-table of any other name holds; None where unknown names are mistakes."""

    @classmethod
    def across(cls, table: Mapping[str, Any]) -> str | None:
        """What is wrong with several keys taken together, None if nothing. `table` is raw, by the file's names.

        Looked at even where single keys are wrong, so that all mistakes come at once.
        """
        return None

    @classmethod
    def file_names(cls) -> dict[str, str]:
        """The file's names of the fields, each with ours: `from` for `sender`, else the same."""
        aliases = {name: field.validation_alias for name, field in cls.model_fields.items()}
        return {alias if isinstance(alias, str) else name: name for name, alias in aliases.items()}

    @model_validator(mode="after")
    def _hold_across(self) -> "Settings":
        reason = self.across({key: getattr(self, name) for key, name in self.file_names().items()})
        if reason:
            raise ValueError(reason)
        return self
