"""The sample provider's ready-made words: what its NOC says again and again, and the outages it has practised."""

from collections.abc import Mapping

PHRASES: tuple[Mapping[str, str], ...] = (
    {"name": "Crew on its way", "text": "A crew is on its way."},
    {"name": "Cause found", "text": "We have found the cause and are repairing it."},
    {
        "name": "Restart your router",
        "text": "If your line stays dark after the repair, please switch your router off and on once.",
    },
    {
        "name": "Fibre: splicing", "cause_code": "fibre_cut",
        "text": "The cable is cut. Our crew is splicing it, fibre by fibre; lines come back one after the other.",
    },
    {
        "name": "Fibre: digging permit", "cause_code": "fibre_cut",
        "text": "The cable is cut under a road. We are waiting for the permit to dig.",
    },
    {
        "name": "Power: on batteries", "cause_code": "power",
        "text": "The site has no power and runs on batteries. A generator is on its way.",
    },
    {
        "name": "Power: the utility", "cause_code": "power",
        "text": "The utility is repairing the supply; our equipment is sound and comes back with it.",
    },
    {
        "name": "Weather: not safe yet", "cause_code": "weather",
        "text": "Our crews go out as soon as the roads are safe.",
    },
)  # fmt: skip
TEMPLATES: tuple[Mapping[str, str], ...] = (
    {
        "name": "Fibre cut to Hazard", "title": "Fibre cut near Hazard", "scope": "LNK-LON-HAZ", "severity": "critical",
        "message": "The cable to Hazard is cut. A crew is on its way.", "cause_code": "fibre_cut",
        "note": "Ring the county's road department for the permit.",
    },
    {
        "name": "Lexington on batteries", "title": "Power failure at our Lexington site", "scope": "PWR-LEX-A",
        "effect": "at_risk", "severity": "critical", "status": "identified", "next_update_in": "45",
        "cause": "The utility's supply has failed.", "cause_code": "power",
        "message": "The site runs on batteries. A generator is on its way.",
    },
    {
        "name": "TV headend", "title": "IPTV is not available", "scope": "service:iptv", "severity": "major",
        "message": "Your internet line works as always.",
    },
)  # fmt: skip
"""Fields as in domain/phrases.py; a test holds the two together."""
