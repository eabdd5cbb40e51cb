"""One mail to one recipient over a session (RFC 5321 §3.3), told apart by what can be known.

Until the final dot has left, a failure means "not sent". From then on only the server's answer says anything; without
one the outcome is ambiguous. With PIPELINING (RFC 2920) MAIL, RCPT and DATA go in one write, and those of the next mail
in the same one as the content before: a mail then costs one round trip. DATA is the last of a group, as it must be.
"""

from dataclasses import dataclass

from outagecast.channels.email.codes import SERVICE_CLOSING, Reply, Stage, classify, explain, label, queue_id
from outagecast.channels.email.session import Fault, Session
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """MAIL and RCPT, whole commands without CRLF."""

    mail: bytes
    rcpt: bytes

    @property
    def group(self) -> bytes:
        """All of it in one write, up to DATA."""
        return b"%s\r\n%s\r\nDATA\r\n" % (self.mail, self.rcpt)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotBegun:
    """The session was gone before it answered MAIL: a kept one may have died of age, a new one is worth one try."""

    outcome: Deferred


async def transact(
    session: Session,
    envelope: Envelope,
    content: bytes,
    *,
    envelope_seconds: float,
    content_seconds: float,
    following: Envelope | None = None,
) -> Outcome | NotBegun:
    """Send a dot-stuffed content that ends in its final dot.

    `envelope_seconds` is for all of MAIL, RCPT and DATA, `content_seconds` for the content and the answer to its dot.
    `following`: the next mail's envelope, to leave with this content; `session.begun` says that it did, and the next
    call must be for that mail.
    """
    session.messages += 1
    deadline = session.now() + envelope_seconds
    heard, wanted = await _enveloped(session, envelope, deadline)
    problem = _problem(session, heard, wanted)
    if problem is None:
        return await _content(session, content, session.now() + content_seconds, following)
    await _back_to_start(session, heard, deadline)
    return problem


async def _enveloped(session: Session, envelope: Envelope, deadline: float) -> "tuple[Heard, int]":
    """What was said to the envelope, and how many replies there should be."""
    if session.begun:
        session.begun = False
        return list(zip(_STAGES, await session.hear(len(_STAGES), deadline), strict=False)), len(_STAGES)
    steps = list(zip(_STAGES, (envelope.mail, envelope.rcpt, b"DATA"), strict=True))
    if session.needs_reset:
        session.needs_reset = False
        steps.insert(0, (Stage.RSET, b"RSET"))
    ask = _at_once if session.capabilities.pipelining else _one_by_one
    return await ask(session, steps, deadline), len(steps)


_STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA)
Heard = list[tuple[Stage, Reply]]


async def _at_once(session: Session, steps: list[tuple[Stage, bytes]], deadline: float) -> Heard:
    commands = b"\r\n".join([command for _, command in steps]) + b"\r\n"
    replies = await session.ask(commands, len(steps), deadline)
    return [(stage, reply) for (stage, _), reply in zip(steps, replies, strict=False)]


async def _one_by_one(session: Session, steps: list[tuple[Stage, bytes]], deadline: float) -> Heard:
    heard: Heard = []
    for stage, command in steps:
        replies = await session.ask(command + b"\r\n", 1, deadline)
        heard += [(stage, reply) for reply in replies]
        if not replies or not _fits(stage, replies[0]):
            break
    return heard


def _fits(stage: Stage, reply: Reply) -> bool:
    """The reply a stage hopes for. 251 and 252 to RCPT are a yes as well."""
    return reply.code == 354 if stage is Stage.DATA else reply.code // 10 == 25


def _problem(session: Session, heard: Heard, wanted: int) -> Outcome | NotBegun | None:
    """Why the content must not follow: the first refusal, since the later ones only echo it (503 no sender …)."""
    for stage, reply in heard:
        if _fits(stage, reply):
            continue
        if reply.code == SERVICE_CLOSING or stage is Stage.RSET:
            session.abort()
            closing = Deferred(scope=FailureScope.ROUTE, code=label(reply), reason=explain(stage, reply))
            return NotBegun(outcome=closing) if stage in (Stage.RSET, Stage.MAIL) else closing
        if reply.code // 100 in (4, 5):
            return classify(stage, reply)
        session.misunderstood()
        return Deferred(scope=FailureScope.MESSAGE, code=Fault.GARBAGE, reason=explain(stage, reply))
    return _silence(session, heard, wanted) if len(heard) < wanted else None


def _silence(session: Session, heard: Heard, wanted: int) -> Outcome | NotBegun:
    """The session ended before DATA was answered: nothing was sent. Unanswered at MAIL, the whole route is in doubt."""
    begun = any(stage is Stage.MAIL for stage, _ in heard)
    outcome = Deferred(
        scope=FailureScope.MESSAGE if begun else FailureScope.ROUTE,
        code=_code(session),
        reason=f"{_WORDS[_fault(session)]} after {len(heard)} of {wanted} replies; the mail was not sent",
    )
    return outcome if begun or session.fault is Fault.TIMED_OUT else NotBegun(outcome=outcome)


async def _back_to_start(session: Session, heard: Heard, deadline: float) -> None:
    """After a refusal: a DATA granted all the same is ended by a lone dot (RFC 2920 §3.1); RSET comes next."""
    session.needs_reset = True
    if session.usable and heard[-1][0] is Stage.DATA and heard[-1][1].code == 354:
        await session.ask(b".\r\n", 1, deadline)


async def _content(session: Session, content: bytes, deadline: float, following: Envelope | None) -> Outcome:
    if following is None:
        session.write(content, 1)
    else:
        session.write(content + following.group, 1 + len(_STAGES), has_tail=True)
        session.begun = session.usable
    replies = await session.hear(1, deadline)
    if not session.all_left:
        return _before_the_dot(session, replies)
    if not replies:
        reason = f"{_WORDS[_fault(session)]} after the final dot was written; it may have taken the mail"
        return Ambiguous(code=_code(session), reason=reason)
    reply = replies[0]
    if reply.code // 10 == 25:
        return Accepted(provider_id=queue_id(reply.text), code=label(reply))
    if reply.code // 100 in (4, 5):
        if reply.code == SERVICE_CLOSING:
            session.abort()
        return classify(Stage.DOT, reply)
    session.misunderstood()
    return Ambiguous(code=Fault.GARBAGE, reason=explain(Stage.DOT, reply))


def _before_the_dot(session: Session, replies: list[Reply]) -> Deferred | Rejected:
    """The dot never left this process. A server may refuse in mid-content (552); the rest is withheld by hanging up."""
    if replies and replies[0].code // 100 in (4, 5):
        session.abort()
        return classify(Stage.DOT, replies[0])
    if replies:
        session.misunderstood()
    reason = f"{_WORDS[_fault(session)]} before the final dot was written; the mail was not sent"
    return Deferred(scope=FailureScope.MESSAGE, code=_code(session), reason=reason)


def _fault(session: Session) -> Fault:
    return session.fault or Fault.DROPPED


def _code(session: Session) -> str:
    return str(_fault(session))


_WORDS = {
    Fault.DROPPED: "the mail server hung up",
    Fault.TIMED_OUT: "the mail server fell silent",
    Fault.GARBAGE: "the mail server answered something that is not SMTP",
    Fault.UNASKED: "the mail server spoke without being asked",
    Fault.CLOSED: "we hung up",
}
