"""SPF, DKIM and DMARC of the sender's domain: whether the mailbox providers will believe our mails."""

import asyncio
import re
from collections.abc import Sequence

from outagecast.commands.dns import LookupFailed, Txt, txt_records
from outagecast.commands.findings import Finding, State

Servers = Sequence[tuple[str, int]]


async def mail_records(domain: str, selector: str, servers: Servers) -> list[Finding]:
    """Three findings. DKIM needs its `selector`; without one only a domain without any key can be told."""
    found = await asyncio.gather(_spf(domain, servers), _dkim(domain, selector, servers), _dmarc(domain, servers))
    return list(found)


async def _spf(domain: str, servers: Servers) -> Finding:
    try:
        found = await txt_records(domain, servers)
    except LookupFailed as failure:
        return _unknown("SPF", domain, failure)
    records = [text for text in found.texts if re.match(r"v=spf1(\s|$)", text, re.IGNORECASE)]
    if len(records) == 1:
        return Finding(what="SPF", state=State.OK, detail=f"{domain}: {records[0]}")
    if records:
        return Finding(
            what="SPF",
            state=State.PROBLEM,
            detail=f"{domain} has {len(records)} SPF records, so that none counts",
            mend="keep one (RFC 7208 §4.5)",
        )
    return Finding(
        what="SPF",
        state=State.PROBLEM,
        detail=f"{domain} has no SPF record",
        mend='publish a TXT record like "v=spf1 mx -all" that names your mail server',
    )


async def _dkim(domain: str, selector: str, servers: Servers) -> Finding:
    name = f"{selector}._domainkey.{domain}" if selector else f"_domainkey.{domain}"
    try:
        found = await txt_records(name, servers)
    except LookupFailed as failure:
        return _unknown("DKIM", name, failure)
    if selector and any("p=" in text for text in found.texts):
        return Finding(what="DKIM", state=State.OK, detail=f"{name} has a key")
    if not found.exists or selector:
        return Finding(
            what="DKIM",
            state=State.PROBLEM,
            detail=f"{name} has no key",
            mend="let your mail server sign, and publish its key",
        )
    return Finding(
        what="DKIM",
        state=State.UNKNOWN,
        detail=f"{domain} may have keys; which one is used cannot be looked up",
        mend="name it with --dkim-selector, or look for dkim=pass in a mail that arrived",
    )


async def _dmarc(domain: str, servers: Servers) -> Finding:
    for name in (domain, ".".join(domain.split(".")[-2:])):
        try:
            found: Txt = await txt_records(f"_dmarc.{name}", servers)
        except LookupFailed as failure:
            return _unknown("DMARC", f"_dmarc.{name}", failure)
        records = [text for text in found.texts if text.lower().startswith("v=dmarc1")]
        if records:
            return Finding(what="DMARC", state=State.OK, detail=f"_dmarc.{name}: {records[0]}")
    return Finding(
        what="DMARC",
        state=State.WARNING,
        detail=f"{domain} has no DMARC record",
        mend='publish a TXT record at _dmarc like "v=DMARC1; p=none; rua=mailto:…"',
    )


def _unknown(what: str, name: str, failure: LookupFailed) -> Finding:
    return Finding(what=what, state=State.UNKNOWN, detail=f"{name} could not be looked up: {failure}")
