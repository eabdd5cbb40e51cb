"""The templates of one language, found in a chain of folders and compiled once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import FunctionLoader, Template, TemplateSyntaxError

from outagecast.domain.notices import NoticeKind
from outagecast.rendering.environment import environment
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.inline import inline_styles
from outagecast.rendering.skeletons import reached, read_singly

FOLDER = "notices"
STYLES = "mail.css"
FILES = ("subject.txt", "email.txt", "email.html", "sms.txt")

Source = Callable[[str], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class KindTemplates:
    """The four templates of one kind."""

    subject: Template
    text: Template
    html: Template
    sms: Template
    mail_tests: str = ""
    """What a mail's templates do with a reader's own words beyond printing them: then each is rendered by itself."""
    sms_tests: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """The files of one language: where each template comes from, its source as written, and the styles."""

    language: str
    files: Mapping[str, Path]
    sources: Mapping[str, str]
    css: str


def languages_in(roots: Sequence[Path]) -> list[str]:
    """The languages that have a folder in any root, as the folders are named: `en`, `pt_BR`."""
    folders = [
        folder for root in roots if (base := root / FOLDER).is_dir() for folder in base.iterdir() if folder.is_dir()
    ]
    return sorted({folder.name for folder in folders})


def folders_of(language: str, roots: Sequence[Path]) -> list[Path]:
    """Where a language's files are looked for: in each root its own folder, then that of it without territory."""
    names = dict.fromkeys((language, language.split("_")[0]))
    return [folder for root in roots for name in names if (folder := root / FOLDER / name).is_dir()]


def read_library(language: str, roots: Sequence[Path]) -> Library:
    """All templates of a language as written. BrokenTemplates lists what cannot be read or is missing."""
    files: dict[str, Path] = {}
    for folder in folders_of(language, roots):
        for path in sorted((*folder.rglob("*.txt"), *folder.rglob("*.html"))):
            files.setdefault(path.relative_to(folder).as_posix(), path)
    home = folders_of(language, roots)[-1]
    wanted = [f"{kind}/{name}" for kind in NoticeKind for name in FILES]
    problems = [f"{home / name}: is missing" for name in wanted if name not in files]
    sources: dict[str, str] = {}
    for name, path in files.items():
        try:
            sources[name] = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            problems.append(f"{path}:1: is not UTF-8 ({error.reason})")
    styles = [path for root in roots if (path := root / FOLDER / STYLES).is_file()]
    if problems:
        raise BrokenTemplates(problems)
    return Library(language=language, files=files, sources=sources, css=styles[0].read_text("utf-8") if styles else "")


def compile_library(library: Library, *, styled: bool = True) -> dict[NoticeKind, KindTemplates]:
    """All kinds compiled. `styled` False leaves the HTML as written, so that errors keep their lines.

    BrokenTemplates lists every syntax error with file and line.
    """
    problems = _syntax_errors(library)
    if problems:
        raise BrokenTemplates(problems)
    done: dict[str, str] = {}

    def source(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if name not in library.sources:
            return None
        if name not in done:
            written = library.sources[name]
            done[name] = inline_styles(written, library.css) if styled and name.endswith(".html") else written
        return done[name], str(library.files[name]), lambda: True

    loader = FunctionLoader(source)
    plain, html = environment(loader, escape=False), environment(loader, escape=True)
    flowing = environment(loader, escape=False, rows=False)
    parser = environment(FunctionLoader(lambda _: None), escape=True)
    tests = read_singly(library.sources, parser)

    def why(*names: str) -> str:
        found = sorted({name for start in names for name in reached(library.sources, parser, start)} & tests.keys())
        return f"{found[0]}: {tests[found[0]]}" if found else ""

    return {
        kind: KindTemplates(
            mail_tests=why(*(f"{kind}/{name}" for name in FILES if name != "sms.txt")),
            sms_tests=why(f"{kind}/sms.txt"),
            subject=flowing.get_template(f"{kind}/subject.txt"),
            text=plain.get_template(f"{kind}/email.txt"),
            html=html.get_template(f"{kind}/email.html"),
            sms=flowing.get_template(f"{kind}/sms.txt"),
        )
        for kind in NoticeKind
    }


def _syntax_errors(library: Library) -> list[str]:
    parser = environment(FunctionLoader(lambda _: None), escape=True)
    problems = []
    for name, text in library.sources.items():
        path = str(library.files[name])
        try:
            parser.compile(text, name, path)
        except TemplateSyntaxError as error:
            problems.append(f"{path}:{error.lineno}: {error.message}")
    return problems
