"""`./run bench [emails] [sms] [impact] [import] [desk] [--quick] [--rounds N]`: each figure beside its limit and peer.

All five without names. Ends with 1 if a limit is broken.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from tests.bench import desk_speed, importing
from tests.bench.children import call
from tests.bench.report import Figure, machine
from tests.bench.sending import emails, texts

IMPACT_MEMORY_AT_MOST_MB = 500.0


def impact(_quick: bool, _rounds: int) -> Iterator[Figure]:
    """A POP's blast radius among 100,000 elements and 1,000,000 circuits, in a process of its own."""
    found = call("impact")
    for row in found["rows"]:
        yield Figure(**row)
    yield Figure(name="impact: peak memory", value=found["peak_mb"], unit="MB", at_most=IMPACT_MEMORY_AT_MOST_MB)


def imports(quick: bool, _rounds: int) -> Iterator[Figure]:
    """A million circuits from CSV."""
    found = importing.run(100_000 if quick else 1_000_000)
    bare = f"a bare csv + executemany loop: {found.bare_per_second:,.0f} rows/s"
    grown = found.peak_mb - found.smaller_peak_mb
    yield Figure(name=f"import: {found.rows:,} circuits", value=found.rows_per_second, unit="rows/s", note=bare)
    yield Figure(name="import: once more, all unchanged", value=found.again_per_second, unit="rows/s")
    yield Figure(name="import: product ÷ bare loop", value=found.ratio, at_least=importing.RATIO_AT_LEAST)
    yield Figure(
        name="import: more memory than for a tenth",
        value=grown,
        unit="MB",
        at_most=importing.GROWTH_AT_MOST_MB,
        note=f"peak {found.peak_mb:.0f} MB, {found.start_mb:.0f} MB of it before the first row",
    )


def mails(quick: bool, rounds: int) -> list[Figure]:
    return emails(5_000 if quick else 20_000, rounds)


def sms(quick: bool, rounds: int) -> list[Figure]:
    return texts(5_000 if quick else 20_000, rounds)


def desk(quick: bool, _rounds: int) -> list[Figure]:
    """The search and the previews of the declare page."""
    return desk_speed.figures(desk_speed.FEWER if quick else desk_speed.CIRCUITS)


BENCHES: dict[str, Callable[[bool, int], Iterator[Figure] | list[Figure]]] = {
    "emails": mails,
    "sms": sms,
    "impact": impact,
    "import": imports,
    "desk": desk,
}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHES)}; all without a name")
    parser.add_argument("--quick", action="store_true", help="one round, a quarter of the messages: under a minute")
    parser.add_argument("--rounds", type=int, help="rounds of the sending benchmarks")
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(BENCHES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    rounds = asked.rounds or (1 if asked.quick else 3)
    print(machine(), flush=True)
    broken = 0
    for name in asked.names or BENCHES:
        started = time.monotonic()
        for figure in BENCHES[name](asked.quick, rounds):
            print(figure.line(), flush=True)
            broken += not figure.holds
        print(f"  {name} took {time.monotonic() - started:.0f} s", flush=True)
    print(f"{broken} limit(s) broken" if broken else "all limits hold", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
