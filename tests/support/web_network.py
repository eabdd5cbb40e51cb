"""A small network for the pages: what `add_network` of web_house.py puts into the database, table by table."""

from collections.abc import Mapping, Sequence
from typing import Any

NETWORK: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "sites": [
        {"id": "LEX", "name": "Lexington", "area": "Fayette"},
        {"id": "GEO", "name": "Georgetown", "area": "Scott"},
    ],
    "elements": [
        {"id": "POP-LEX", "kind": "pop", "name": "Lexington POP", "site_id": "LEX"},
        {"id": "LNK-1", "kind": "link", "name": "Lexington to Georgetown", "site_id": None},
        {"id": "BOTH", "kind": "pop", "name": "An id twice", "site_id": None},
    ],
    "services": [
        {"id": "fiber", "name": "Fiber Internet", "public": True, "position": 1},
        {"id": "voice", "name": "Voice", "public": True, "position": 2},
        {"id": "dark", "name": "Dark Fiber", "public": False, "position": 3},
    ],
    "customers": [
        {"id": "K-1", "name": "Acme Manufacturing"},
        {"id": "K-2", "name": "Bourbon County Schools"},
        {"id": "BOTH", "name": "A customer called like a POP"},
    ],
    "addresses": [
        {"id": 1, "channel": "email", "value": "noc@acme.example"},
        {"id": 2, "channel": "sms", "value": "+18595550123"},
        {"id": 3, "channel": "email", "value": "gone@school.example", "suppressed": "opted_out"},
    ],
    "contacts": [
        {
            "id": "C-1",
            "customer_id": "K-1",
            "name": "Ann Dole",
            "email_id": 1,
            "phone_id": 2,
            "timezone": "America/Chicago",
        },
        {"id": "C-2", "customer_id": "K-2", "name": "Bob", "email_id": 3, "phone_id": None, "timezone": ""},
    ],
    "circuits": [
        {
            "id": "CIR-1",
            "customer_id": "K-1",
            "service_id": "fiber",
            "label": "Main Office",
            "site_id": "LEX",
            "place": "12 Mill St",
        },
        {
            "id": "CIR-2",
            "customer_id": "K-1",
            "service_id": "dark",
            "label": "Warehouse",
            "site_id": "LEX",
            "place": "",
        },
        {
            "id": "CIR-3",
            "customer_id": "K-2",
            "service_id": "fiber",
            "label": "High School",
            "site_id": "GEO",
            "place": "",
        },
        {
            "id": "CIR-4",
            "customer_id": "K-2",
            "service_id": "fiber",
            "label": "Library",
            "site_id": "GEO",
            "place": "",
        },
    ],
    "subscriptions": [{"customer_id": "K-2", "service_id": "voice"}],
}
