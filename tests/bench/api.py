"""The product's API, asked as a program would."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

LONGEST = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    port: int
    token: str

    def declare(self, element: str) -> str:
        """The new outage's id, once the answer is there: what it plans is committed."""
        body = {"title": "Cut", "scope": {"elements": [element]}}
        return str(self._ask("POST", "/api/v1/outages", body)["id"])

    def accepted(self, outage_id: str) -> int:
        """Emails of this outage that a server has accepted and the database knows of."""
        states = self._ask("GET", f"/api/v1/outages/{outage_id}")["deliveries"].get("email", {})
        return int(states.get("accepted", 0)) + int(states.get("delivered", 0))

    def wait_for(self, outage_id: str, count: int, patience: float) -> None:
        """Until so many are accepted. TimeoutError after so many seconds without one more."""
        before, since = -1, time.monotonic()
        while (accepted := self.accepted(outage_id)) < count:
            if accepted > before:
                before, since = accepted, time.monotonic()
            if time.monotonic() - since > patience:
                raise TimeoutError(f"{accepted:,} of {count:,} emails are accepted, and no more for {patience:.0f} s")
            time.sleep(0.02)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=content, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=LONGEST) as answer:
            return json.load(answer)
