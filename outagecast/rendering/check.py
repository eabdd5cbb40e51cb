"""Finds what is wrong with templates before the first customer does, with file and line: names, sizes, HTML."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from zoneinfo import ZoneInfo

from jinja2 import FunctionLoader, meta, nodes

from outagecast.domain.facts import OwnFacts, RevisionFacts
from outagecast.domain.notices import NoticeKind
from outagecast.domain.sms import segments
from outagecast.rendering.environment import RENDER_ERRORS, environment
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.facts import Facts, FactsMaker, Links
from outagecast.rendering.fit import ROOMS, desks_words, fit
from outagecast.rendering.library import FILES, FOLDER, STYLES, KindTemplates, Library, compile_library
from outagecast.rendering.samples import samples
from outagecast.rendering.tidy import tidy_html, tidy_text
from outagecast.rendering.times import Reader, reader
from outagecast.rendering.words import FILE, Words

MAX_MAIL = 20_000
"""Bytes of one part; Gmail cuts a mail off at 102 kB, a phone with one bar of signal much earlier."""
MAX_SUBJECT = 300
MAX_SEGMENTS = 3
_LINKS = Links(
    my="https://status.example.net/my/AAAAAAAAAAAAAAAAAAAAAA", leave="https://status.example.net/u/" + "A" * 22
)
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


def unknown_files(roots: Sequence[Path]) -> list[str]:
    """Files in the operator's folders that take no file's place: nothing would read them, so a name is mistyped."""
    if len(roots) < 2:
        return []
    known = {path.relative_to(roots[-1]).as_posix() for path in (roots[-1] / FOLDER).rglob("*") if path.is_file()}
    problems = []
    for root in roots[:-1]:
        for path in sorted((root / FOLDER).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not _has_use(path.relative_to(root / FOLDER), known, name):
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                problems.append(f"{path}:1: takes the place of no file of ours{hint}")
    return problems


def check_language(library: Library, maker: FactsMaker, words: Words) -> list[str]:
    """All problems of one language's templates, as `file:line: what is wrong`."""
    problems = list(_static_problems(library, _known_names(maker, words)))
    if problems:
        return problems
    try:
        kinds = compile_library(library, styled=False)
    except BrokenTemplates as error:
        return list(error.problems)
    styled = compile_library(library)
    found: dict[str, None] = {}
    seen: set[NoticeKind] = set()
    for revision, own in samples():
        kind = NoticeKind(own.kind)
        # Styles change neither words nor branches: they are looked at where a mail is new or large.
        html = styled[kind].html if kind not in seen or len(own.lines) > 1 else kinds[kind].html
        seen.add(kind)
        for problem in _render(library, replace(kinds[kind], html=html), maker, words, revision, own):
            found.setdefault(problem)
    return list(found)


def balanced(html: str) -> str:
    """Empty where every element is closed in order; else what is wrong."""
    parser = _Balance()
    parser.feed(html)
    parser.close()
    return parser.wrong or (f"<{parser.open[-1]}> is not closed" if parser.open else "")


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.wrong = self.wrong or f"</{tag}> closes nothing"
        else:
            self.open.pop()


def _has_use(path: Path, known: set[str], name: str) -> bool:
    """A file of ours with the same path, a whole language of the operator's, or a part that he may include."""
    if name in known or path.name.startswith(".") or path.as_posix() == STYLES:
        return True
    theirs = not any(other.startswith(f"{FOLDER}/{path.parts[0].split('_')[0]}/") for other in known)
    twin = f"{FOLDER}/{path.parts[0].split('_')[0]}/{'/'.join(path.parts[1:])}"
    return twin in known or (
        len(path.parts) > 1 and (theirs or (path.name not in (*FILES, FILE) and path.parts[1] == "parts"))
    )


def _known_names(maker: FactsMaker, words: Words) -> dict[str, frozenset[str]]:
    """What templates of each channel may name."""
    revision, own = next(samples())
    place = _reader(revision, own, sms=False)
    mail = frozenset(maker.mail(revision, own, place, _LINKS)) | {"headline"}
    sms = frozenset(maker.sms(revision, own, place, _LINKS, ROOMS[0], ""))
    return {"subject.txt": mail - {"headline"}, "email.txt": mail, "email.html": mail, "sms.txt": sms, "": mail | sms}


def _static_problems(library: Library, known: dict[str, frozenset[str]]) -> Iterator[str]:
    parser = environment(FunctionLoader(lambda _: None), escape=True)
    trees = {name: parser.parse(text) for name, text in library.sources.items()}
    loops = {node.name for tree in trees.values() for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    for name, tree in trees.items():
        path = library.files[name]
        allowed = known.get(name.rpartition("/")[2], known[""]) | loops
        for unknown in sorted(meta.find_undeclared_variables(tree) - allowed):
            line = next(node.lineno for node in tree.find_all(nodes.Name) if node.name == unknown)
            near = difflib.get_close_matches(unknown, allowed, n=1)
            yield f"{path}:{line}: '{unknown}' is undefined" + (f" (did you mean '{near[0]}'?)" if near else "")
        for node in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
            target = getattr(node, "template", None)
            if not isinstance(target, nodes.Const) or target.value not in library.sources:
                what = target.value if isinstance(target, nodes.Const) else "a name that is not written out"
                yield f"{path}:{node.lineno}: includes {what}, which is not among the templates of this language"


def _render(
    library: Library, templates: KindTemplates, maker: FactsMaker, words: Words, revision: RevisionFacts, own: OwnFacts
) -> Iterator[str]:
    kind = str(own.kind)
    try:
        yield from _mail_problems(
            library, templates, maker.mail(revision, own, _reader(revision, own, sms=False), _LINKS), kind
        )
        yield from _sms_problems(library, templates, maker, words, revision, own)
    except RENDER_ERRORS as error:
        yield f"{_where(error, library, library.files[f'{kind}/{FILES[0]}'])}: {error}"


def _mail_problems(library: Library, templates: KindTemplates, facts: Facts, kind: str) -> Iterator[str]:
    subject = templates.subject.render(facts).strip()
    path = library.files[f"{kind}/subject.txt"]
    if "\n" in subject or "\r" in subject:
        yield f"{path}:{len(subject.splitlines()[0:1])}: the subject holds a line break; write it as one line"
    if not subject or len(subject) > MAX_SUBJECT:
        yield f"{path}:1: the subject has {len(subject)} characters; from 1 to {MAX_SUBJECT} are allowed"
    facts["headline"] = " ".join(subject.split())
    html = tidy_html(templates.html.render(facts))
    for name, text in (("email.txt", tidy_text(templates.text.render(facts))), ("email.html", html)):
        if len(text.encode()) > MAX_MAIL:
            yield f"{library.files[f'{kind}/{name}']}:1: gives {len(text.encode())} bytes; {MAX_MAIL} are allowed"
    if wrong := balanced(html):
        yield f"{library.files[f'{kind}/email.html']}:1: the HTML does not fit together: {wrong}"


def _sms_problems(
    library: Library, templates: KindTemplates, maker: FactsMaker, words: Words, revision: RevisionFacts, own: OwnFacts
) -> Iterator[str]:
    place = _reader(revision, own, sms=True)
    body = fit(
        lambda room, message: templates.sms.render(maker.sms(revision, own, place, _LINKS, room, message)),
        desks_words(revision, own),
        gsm=words["sms.alphabet"] == "gsm7",
        mark=words["sms.cut"],
    )
    path = library.files[f"{own.kind}/sms.txt"]
    if segments(body) > MAX_SEGMENTS:
        yield f"{path}:1: the text takes {segments(body)} segments with sample facts; {MAX_SEGMENTS} are allowed"
    if not body:
        yield f"{path}:1: the text is empty"


def _reader(revision: RevisionFacts, own: OwnFacts, *, sms: bool) -> Reader:
    said_at: datetime = revision.said_at
    return reader(ZoneInfo(own.zone), said_at, sms=sms)


def _where(error: Exception, library: Library, otherwise: Path) -> str:
    """File and line of the deepest template in the traceback."""
    paths = {str(path) for path in library.files.values()}
    found = ""
    frame: TracebackType | None = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename in paths:
            found = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return found or f"{otherwise}:1"
