"""What can be wrong with templates and words; found when the program starts."""

from collections.abc import Sequence

from outagecast.domain.errors import OutageCastError


class BrokenTemplates(OutageCastError):
    """Templates that cannot be used. `problems` has one line for each: `file:line: what is wrong`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
