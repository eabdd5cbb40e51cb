"""What a template may do: `if`, `for`, `include`, `extends`, the filters below. Nothing can be called or changed."""

from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateError
from jinja2.runtime import BlockReference, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

_FILTERS = ("length", "join", "upper", "lower", "capitalize", "trim", "first", "last")
RENDER_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError)
"""What a template can raise: Jinja's own errors, and those of the operators it applies to facts."""
_TESTS = ("defined", "undefined", "none")


class NoticeEnvironment(ImmutableSandboxedEnvironment):
    """Facts are plain dicts: `line.label` is an item, never a method of a dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        return isinstance(obj, Macro | BlockReference)


def environment(load: FunctionLoader, *, escape: bool, rows: bool = True) -> NoticeEnvironment:
    """An environment without globals. `escape`: all that is put in becomes text in HTML; there is no `safe` round it.

    `rows`: a tag that stands alone takes its line with it. In texts, where all blanks become one, a line end is one.
    """
    made = NoticeEnvironment(
        loader=load,
        undefined=StrictUndefined,
        autoescape=escape,
        trim_blocks=rows,
        lstrip_blocks=rows,
        auto_reload=False,
        cache_size=-1,
    )
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made
