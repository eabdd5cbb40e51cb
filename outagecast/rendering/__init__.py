"""From frozen facts and templates to the words of one message.

    renderer = Renderer(provider, template_roots, links)
    renderer.check_templates()                      # at start: refuses a broken override with file and line
    renderer.email(revision_facts, own_facts, …)    # -> EmailMessage
    renderer.sms(revision_facts, own_facts, …)      # -> SmsMessage

Where the words are. No sentence for a customer stands in Python. Sentences stand in the templates,
`notices/<language>/<kind>/{subject.txt,email.txt,email.html,sms.txt}` together with what they include
(`layout.*`, `parts/*`); words chosen by a value (levels with their grammar, nouns with their plurals, patterns of times
and durations, column names) stand in `notices/<language>/words.toml`. The styles of all mails stand
in `notices/mail.css`.

What a template sees are plain texts, numbers and lists prepared by `facts.py`: times, durations and counts arrive
formatted. `if`, `for`, `include`, `extends` and a few filters are all it may use.

An operator's own folder comes first among the roots: a file in it takes the place of ours of the same path; its
`words.toml` needs only the keys it changes. A language is a folder; `pt_BR` fills its gaps from `pt`.
"""

from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.provider import LinkMaker, Provider
from outagecast.rendering.renderer import Renderer

__all__ = ["BrokenTemplates", "LinkMaker", "Provider", "Renderer"]
