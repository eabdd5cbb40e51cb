"""Where in the file a mistake stands, and the words for it."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from outagecast.settings_base import Settings

Loc = tuple[str | int, ...]
"""A place in the file: `("monitors", 0, "token")`."""


def lines_of(text: str) -> dict[Loc, int]:
    """The line on which each key and table of a valid TOML text first appears.

    Reads growing beginnings of the text with tomllib itself, so every form of TOML is understood (tomllib tells no
    positions). Quadratic, but only run to place a message: 200 lines take some 30 ms.
    """
    found: dict[Loc, int] = {}
    lines = text.splitlines(keepends=True)
    begins_at: int | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begins_at = begins_at or number
        try:
            data = tomllib.loads("".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value of several lines
        for loc in _walk(data, ()):
            found.setdefault(loc, begins_at)
        begins_at = None
    return found


def line_of(loc: Loc, lines: Mapping[Loc, int]) -> int:
    """The line of a place, or of the table around it where the key is missing."""
    while loc and loc not in lines:
        loc = loc[:-1]
    return lines.get(loc, 1)


def spell(loc: Loc) -> str:
    """`monitors[0].token`"""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def mistakes(error: ValidationError, root: type[Settings]) -> list[tuple[Loc, str]]:
    """Each mistake as its place and its reason with the mend. Values are never repeated."""
    details = error.errors(include_url=False, include_input=False)
    return [(tuple(detail["loc"]), _reason(detail, root)) for detail in details]


def mistakes_across(data: Mapping[str, Any], root: type[Settings]) -> list[tuple[Loc, str]]:
    """What is wrong with several keys of a table taken together, table by table, whatever else is wrong."""
    tables = ((loc, table, model_at(loc, root)) for loc, table in _tables(data, ()))
    return [(loc, reason) for loc, table, model in tables if model and (reason := model.across(table))]


def model_at(loc: Loc, root: type[Settings]) -> type[Settings] | None:
    """The model of the table at a place, None if there is none."""
    model: type[Settings] | None = root
    for part in loc:
        if isinstance(part, str):
            model = _member(model, part) if model else None
    return model


def _walk(value: Any, loc: Loc) -> Iterator[Loc]:
    yield loc
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, (*loc, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*loc, index))


def _tables(value: Any, loc: Loc) -> Iterator[tuple[Loc, dict[str, Any]]]:
    if isinstance(value, dict):
        yield loc, value
        for key, inner in value.items():
            yield from _tables(inner, (*loc, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _tables(inner, (*loc, index))


def _member(model: type[Settings], key: str) -> type[Settings] | None:
    field = _field(model, key)
    return _model_in(field.annotation) if field else model.sub_tables


def _field(model: type[Settings], key: str) -> FieldInfo | None:
    return model.model_fields.get(model.file_names().get(key, ""))


def _model_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _reason(detail: ErrorDetails, root: type[Settings]) -> str:
    *table, key = detail["loc"]
    model = model_at(tuple(table), root) or root
    context = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "missing":
            return _missing(model, str(key))
        case "extra_forbidden":
            return _unknown(model, str(key), root)
        case "model_type" | "dict_type" | "model_attributes_type":
            known = _field(model, key) if isinstance(key, str) else True
            return "must be a table (write its keys under a [table] line)" if known else _unknown(model, str(key), root)
        case "string_type":
            return "must be a text (write it in quotes)"
        case "int_type" | "int_parsing" | "int_from_float":
            return "must be a whole number (write it without quotes)"
        case "float_type" | "float_parsing" | "finite_number":
            return "must be a number (write it without quotes)"
        case "greater_than_equal":
            return f"is too small (write {context['ge']:g} or more)"
        case "less_than_equal":
            return f"is too large (write {context['le']:g} or less)"
        case "tuple_type" | "list_type":
            tables = _member(model, key) if isinstance(key, str) else None
            return f"must be a list (write {f'[[{key}]]' if tables else 'it in square brackets'})"
        case "literal_error":
            return f"is not one of its words (write {context['expected']})".replace("'", '"')
        case "string_too_short":
            return "is empty (write a text)"
        case "string_too_long":
            return f"is too long (write at most {context['max_length']} characters)"
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:]


def _missing(model: type[Settings], key: str) -> str:
    field = _field(model, key)
    inner = _model_in(field.annotation) if field else None
    if inner:
        needed = [each for each, name in inner.file_names().items() if inner.model_fields[name].is_required()]
        return f"is missing (add a table [{key}] with {', '.join(needed)})"
    example = field.examples[0] if field and field.examples else "…"
    return f"is missing (add {key} = {example})"


def _unknown(model: type[Settings], key: str, root: type[Settings]) -> str:
    close = difflib.get_close_matches(key.lower(), model.file_names(), n=1)
    if close:
        return f'unknown key (did you mean "{close[0]}"?)'
    homes = [f"[{table}]" for table in root.file_names() if _is_key(key, model_at((table,), root))]
    if homes and model is not root:
        return f"unknown key (it belongs in {' or '.join(homes)})"
    return f"unknown key (known here: {', '.join(model.file_names())})"


def _is_key(key: str, model: type[Settings] | None) -> bool:
    return model is not None and key in model.file_names() and _member(model, key) is None
