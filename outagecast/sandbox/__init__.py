"""The outside world on loopback: an SMTP server, a Twilio-like gateway and an inbox page.

It stands in for customers' mailboxes and phones in the demo and is the judge in the tests, so it shares no code with
the rest of the package: its own signatures, its own segment count, its own reading of mail. Everything that reaches it
is in an append-only log before the sender gets an answer.
"""

from outagecast.sandbox.clock import SandboxClock
from outagecast.sandbox.faults import Fault, FaultBook
from outagecast.sandbox.server import Sandbox, start
from outagecast.sandbox.settings import SandboxSettings

__all__ = ["Fault", "FaultBook", "Sandbox", "SandboxClock", "SandboxSettings", "start"]
