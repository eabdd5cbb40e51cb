"""A mail in its last form, made once: mostly in a worker thread, while others are on the wire."""

from dataclasses import dataclass

from outagecast.channels.email.message import Content, Mailbox, MessageWriter, mailbox
from outagecast.domain.delivery import FailureScope, Rejected
from outagecast.domain.message import EmailMessage


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Written:
    """A mail as it goes onto the wire, by the writer of the channel that wrote it."""

    message: EmailMessage
    to: Mailbox
    content: Content
    writer: MessageWriter


Mail = EmailMessage | Written


def written(mail: Mail, writer: MessageWriter) -> Written | Rejected:
    """As this writer writes it (what another one wrote bears another sender), or why it cannot."""
    if isinstance(mail, Written):
        if mail.writer is writer:
            return mail
        mail = mail.message
    try:
        to = mailbox(mail.to, mail.to_name)
    except ValueError as error:
        return Rejected(scope=FailureScope.ADDRESS, code="bad_address", reason=str(error))
    try:
        content = writer.content(mail, to)
    except ValueError as error:
        return Rejected(scope=FailureScope.MESSAGE, code="bad_message", reason=str(error))
    return Written(message=mail, to=to, content=content, writer=writer)
