"""The rooms' parts as the settings want them: the house, the words, the channels, the doors of monitors and
callbacks.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from outagecast.channels.email.channel import EmailChannel
from outagecast.channels.sms.channel import SmsChannel
from outagecast.channels.sms.receipts import from_account, parse_inbound, parse_status, verify_signature
from outagecast.config import Config
from outagecast.domain.message import ChannelName
from outagecast.engine.changes import Changes
from outagecast.engine.house import House
from outagecast.engine.links import Links
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
        changes=Changes(),
        speed=speed,
    )


def make_words(config: Config, links: Links, clock: Callable[[], datetime]) -> WordSmith:
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
    staff = StaffRenderer(p.name, f"{p.public_url}/desk", templates_folder())
    return WordSmith(renderer, staff, links, list_domain=urlsplit(p.public_url).hostname or "localhost", clock=clock)


def make_channels(config: Config, house: House) -> dict[ChannelName, Any]:
    channels: dict[ChannelName, Any] = {}
    if (email := config.email) is not None:
        channels[ChannelName.EMAIL] = EmailChannel(
            host=email.host,
            port=email.port,
            sender=email.sender,
            security=email.security,
            username=email.username,
            password=email.password.get_secret_value(),
            connections=email.connections,
            rate_per_second=email.rate_per_second,
            ehlo_name=email.helo,
            connect_timeout=email.timeout,
            command_timeout=email.timeout,
            data_timeout=email.timeout * 10,
            ca_file=email.ca_file,
        )
    if (sms := config.sms) is not None:
        channels[ChannelName.SMS] = SmsChannel(
            account_sid=sms.account_sid,
            auth_token=sms.auth_token.get_secret_value(),
            sender=sms.sender,
            messaging_service_sid=sms.messaging_service_sid,
            api_url=sms.api_url,
            rate_per_second=sms.rate_per_second,
            connections=sms.connections,
            allowed_countries=frozenset(sms.allowed_countries),
            public_url=config.provider.public_url,
            clock=house.clock,
            timeout=sms.timeout,
        )
    return channels


def make_hook(settings: MonitorSettings) -> Hook:
    read, places = FORMATS[settings.format], settings.map.places()
    return Hook(token=settings.token.get_secret_value(), read=lambda payload: read(payload, places), places=places)


def make_twilio(config: Config) -> TwilioCallbacks | None:
    sms = config.sms
    if sms is None:
        return None
    token = sms.auth_token.get_secret_value()
    account = sms.account_sid

    def verify(url: str, form: Mapping[str, object], signature: str | None) -> bool:
        return verify_signature(token, url, form, signature) and from_account(form, account)

    def inbound(form: Mapping[str, object]) -> tuple[str, str] | None:
        found = parse_inbound(form)
        return (found.from_, found.opt_out.value) if found.opt_out in ("stop", "start") else None

    return TwilioCallbacks(verify=verify, status=parse_status, inbound=inbound)


def make_oidc(config: Config, clock: Callable[[], datetime]) -> OidcClient | None:
    if config.oidc is None:
        return None
    return OidcClient(config.oidc, callback=f"{config.provider.public_url}/desk/oidc/callback", clock=clock)
