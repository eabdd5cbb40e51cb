"""`./run bench [quick] [PART …] [--rounds N] [--out FOLDER]`: each figure beside its limit and its peers.

All parts without names, about twenty minutes; `quick`, or --quick, takes fewer of everything, in about three. Peers are
installed on first use, into a cache outside the repository; `install` does only that. The report is written to
FOLDER/bench-report.html, .md and .json after each part. Ends with 1 if a limit is broken or a part is.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.children import ROOT
from tests.bench.competition import ready
from tests.bench.facts import facts
from tests.bench.html_report import html
from tests.bench.markdown_report import markdown
from tests.bench.parts import PARTS, Part, Size
from tests.bench.peers import PEERS
from tests.bench.report import machine
from tests.bench.sections import Missing, Section, broken

ROUNDS, FEW_ROUNDS = 5, 1
OUT = ROOT / "bench-report"
WORDS = ("quick", "install")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="part", help=f"which: {', '.join(PARTS)}; all without a name")
    parser.add_argument("--quick", action="store_true", help="fewer of everything, one round: about three minutes")
    parser.add_argument("--rounds", type=int, help=f"rounds of whatever is compared (default {ROUNDS})")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="where the report is written")
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(PARTS) - set(WORDS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}, and the word quick")
    if "install" in asked.names:
        return install()
    quick = asked.quick or "quick" in asked.names
    size = Size(quick=quick, rounds=asked.rounds or (FEW_ROUNDS if quick else ROUNDS))
    return measure([name for name in asked.names if name in PARTS] or list(PARTS), size, asked.out)


def measure(names: Sequence[str], size: Size, out: Path, parts: Mapping[str, Part] = PARTS) -> int:
    """One part after the other; a report after each, so that what was measured is not lost to a later mishap."""
    print(machine(), flush=True)
    began = datetime.now(UTC)
    sections: list[Section] = []
    skipped = [Missing(what=f"the part {name}", why="it was not asked for") for name in parts if name not in names]
    for name in names:
        started = time.monotonic()
        try:
            section = parts[name](size)
        except Exception as error:  # one part that breaks must not take the figures of all others with it
            traceback.print_exc()
            section = failed(name, error)
        section.seconds = time.monotonic() - started
        sections.append(section)
        show(section)
        write(out, began, size, sections, skipped)
    lost, unfinished = len(broken(sections)), [section.name for section in sections if not section.is_whole]
    print(f"{lost} limit(s) broken" if lost else "all limits hold", flush=True)
    if unfinished:
        print(f"not finished: {', '.join(unfinished)} (see above)", flush=True)
    print(f"written to {out}/bench-report.html, .md and .json", flush=True)
    return 1 if lost or unfinished else 0


def failed(name: str, error: Exception) -> Section:
    """What stands in the report for a part that broke: the last line of what it complained about."""
    why = (str(error).strip() or type(error).__name__).splitlines()[-1]
    missing = [Missing(what=f"the part {name}", why=f"it broke: {why}")]
    return Section(name=name, title=name, about="This part broke.", missing=missing, is_whole=False)


def show(section: Section) -> None:
    for figure in section.figures:
        print(figure.line(), flush=True)
    for one in section.missing:
        print(f"- {one.what}: {one.why}", flush=True)
    print(f"  {section.name} took {section.seconds:.0f} s", flush=True)


def write(out: Path, began: datetime, size: Size, sections: Sequence[Section], skipped: Sequence[Missing]) -> None:
    """All three files anew."""
    out.mkdir(parents=True, exist_ok=True)
    states = {peer.NAME: peer.available() for peer in PEERS}
    peers = {name: state.version or f"not installed: {state.missing}" for name, state in states.items()}
    known = facts(began, rounds=size.rounds, quick=size.quick, peers=peers)
    files = {
        "html": html(known, sections, skipped),
        "md": markdown(known, sections, skipped),
        "json": json.dumps(
            {"facts": known, "sections": [asdict(one) for one in sections]}, indent=1, ensure_ascii=False
        ),
    }
    for kind, text in files.items():
        (out / f"bench-report.{kind}").write_text(text, encoding="utf-8")


def install() -> int:
    """Whatever peer can be installed; 0 even where one cannot, because the benchmark goes on without it."""
    for peer in PEERS:
        why = ready(peer, may_install=True)
        print(f"{peer.NAME}: {f'not installed: {why}' if why else peer.available().version}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
