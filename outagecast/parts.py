"""The rooms' parts as the settings want them: the house, the words, the channels, the doors of monitors and
callbacks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from outagecast.channels.base import Reconciler
from outagecast.channels.email.channel import EmailChannel
from outagecast.channels.email.settings import MailServer
from outagecast.channels.sms.channel import SmsChannel
from outagecast.channels.sms.countries import region_of
from outagecast.channels.sms.receipts import from_account, parse_inbound, parse_status, verify_signature
from outagecast.channels.sms.settings import SmsAccount
from outagecast.config import Config
from outagecast.domain.message import ChannelName
from outagecast.domain.need import NeedRules
from outagecast.engine.changes import Changes
from outagecast.engine.house import House
from outagecast.engine.links import Links
from outagecast.engine.routes import STAFF_PLACE, Accounts, Route
from outagecast.engine.words import WordSmith
from outagecast.monitors import FORMATS
from outagecast.monitors.settings import MonitorSettings
from outagecast.rendering import Provider, Renderer
from outagecast.rendering.staff import StaffRenderer
from outagecast.resources import templates_folder
from outagecast.storage.engine import Database
from outagecast.web.oidc import OidcClient
from outagecast.web.services import Hook, TwilioCallbacks


def make_house(config: Config, db: Database, clock: Callable[[], datetime], speed: float) -> House:
    rates = {}
    if config.email is not None:
        rates[ChannelName.EMAIL] = config.email.rate_per_second
    if config.sms is not None:
        rates[ChannelName.SMS] = config.sms.rate_per_second
    return House(
        db=db,
        clock=clock,
        cadences=config.cadence,
        delivery=config.delivery,
        notices=config.notices,
        safety=config.safety,
        defaults=config.defaults,
        staff_alerts=config.staff_alerts,
        public_host=urlsplit(config.provider.public_url).hostname or "",
        provider_zone=config.provider.timezone,
        provider_language=config.provider.language,
        channels=tuple(rates),
        rates=rates,
        staff_only=_staff_only(config),
        need=NeedRules(tiers=config.need.tiers, voice=config.need.voice),
        changes=Changes(),
        speed=speed,
    )


def make_renderer(config: Config, links: Links) -> Renderer:
    """The templates, compiled; those of the operator's own checked. BrokenTemplates says what is wrong."""
    p = config.provider
    provider = Provider(
        name=p.name,
        url=p.public_url,
        phone=p.support_phone,
        email=p.support_email,
        zone=p.timezone,
        language=p.language,
        sms_name=p.sms_name,
    )
    own = [config.notices.templates] if config.notices.templates else []
    renderer = Renderer(provider, [*own, templates_folder()], links)
    if own:
        renderer.check_templates()
    return renderer


def make_words(config: Config, links: Links, clock: Callable[[], datetime]) -> WordSmith:
    p, renderer = config.provider, make_renderer(config, links)
    staff = StaffRenderer(p.name, f"{p.public_url}/desk", templates_folder())
    return WordSmith(renderer, staff, links, list_domain=urlsplit(p.public_url).hostname or "localhost", clock=clock)


def make_routes(config: Config, house: House) -> list[Route]:
    """Every channel's routes in their order, each channel's own for the staff before them."""
    found: list[Route] = []
    own = config.staff_route
    if own.email is not None:
        sender = own.email.sender or (config.email.sender if config.email else "")
        found.append(_mail_route(own.email, own.email.name, STAFF_PLACE, sender))
    if (email := config.email) is not None:
        found.append(_mail_route(email, email.name, 0, email.sender))
        found += [_mail_route(r, r.name, n, r.sender or email.sender) for n, r in enumerate(email.relays, start=1)]
    if own.sms is not None:
        found.append(_sms_route(own.sms, own.sms.name, STAFF_PLACE, config, house))
    if (sms := config.sms) is not None:
        found.append(_sms_route(sms, sms.name, 0, config, house))
        found += [_sms_route(a, a.name, n, config, house) for n, a in enumerate(sms.accounts, start=1)]
    return found


def _mail_route(server: MailServer, name: str, place: int, sender: str) -> Route:
    carrier = EmailChannel(
        host=server.host,
        port=server.port,
        sender=sender,
        security=server.security,
        username=server.username,
        password=server.password.get_secret_value(),
        connections=server.connections,
        rate_per_second=server.rate_per_second,
        ehlo_name=server.helo,
        connect_timeout=server.timeout,
        command_timeout=server.timeout,
        data_timeout=server.timeout * 10,
        ca_file=server.ca_file,
    )
    return Route(channel=ChannelName.EMAIL, name=name, place=place, carrier=carrier)


def _sms_route(account: SmsAccount, name: str, place: int, config: Config, house: House) -> Route:
    allowed = set(config.sms.allowed_countries if config.sms else ())
    if place == STAFF_PLACE:  # staff are told wherever their phones are
        allowed |= {region_of(alert.phone) for alert in config.staff_alerts if alert.phone}
    carrier = SmsChannel(
        account_sid=account.account_sid,
        auth_token=account.auth_token.get_secret_value(),
        sender=account.sender,
        messaging_service_sid=account.messaging_service_sid,
        api_url=account.api_url,
        rate_per_second=account.rate_per_second,
        connections=account.connections,
        allowed_countries=frozenset(allowed),
        public_url=config.provider.public_url,
        clock=house.clock,
        timeout=account.timeout,
    )
    return Route(channel=ChannelName.SMS, name=name, place=place, carrier=carrier)


def make_reconcilers(found: Sequence[Route]) -> dict[ChannelName, Reconciler]:
    """Who can say what became of a text nobody knows of: the account that it went by."""
    accounts = {route.name: route.carrier for route in found if isinstance(route.carrier, SmsChannel)}
    return {ChannelName.SMS: Accounts(accounts)} if accounts else {}


def _staff_only(config: Config) -> tuple[ChannelName, ...]:
    own = config.staff_route
    return (
        *((ChannelName.EMAIL,) if own.email is not None and config.email is None else ()),
        *((ChannelName.SMS,) if own.sms is not None and config.sms is None else ()),
    )


def make_hook(settings: MonitorSettings) -> Hook:
    read, places = FORMATS[settings.format], settings.map.places()
    return Hook(token=settings.token.get_secret_value(), read=lambda payload: read(payload, places), places=places)


def make_twilio(config: Config) -> TwilioCallbacks | None:
    """Callbacks of every account: the form names its own, and is held against that one's token."""
    tokens = [(account.account_sid, account.auth_token.get_secret_value()) for account in _accounts(config)]
    if not tokens:
        return None

    def verify(url: str, form: Mapping[str, object], signature: str | None) -> bool:
        return any(
            from_account(form, account) and verify_signature(token, url, form, signature) for account, token in tokens
        )

    def inbound(form: Mapping[str, object]) -> tuple[str, str] | None:
        found = parse_inbound(form)
        return (found.from_, found.opt_out.value) if found.opt_out in ("stop", "start") else None

    return TwilioCallbacks(verify=verify, status=parse_status, inbound=inbound)


def _accounts(config: Config) -> Iterator[SmsAccount]:
    if config.sms is not None:
        yield config.sms
        yield from config.sms.accounts
    if config.staff_route.sms is not None:
        yield config.staff_route.sms


def make_oidc(config: Config, clock: Callable[[], datetime]) -> OidcClient | None:
    if config.oidc is None:
        return None
    return OidcClient(config.oidc, callback=f"{config.provider.public_url}/desk/oidc/callback", clock=clock)
