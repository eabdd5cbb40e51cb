"""Bringing a connection up: aiosmtplib connects, says EHLO, starts TLS and logs in; a `Session` then takes it over."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

import aiosmtplib

from outagecast.channels.base import RouteDown
from outagecast.channels.email.codes import SERVICE_CLOSING, Reply, Stage, explain, label
from outagecast.channels.email.session import Capabilities, Fault, Session
from outagecast.domain.delivery import Deferred, FailureScope, Rejected

Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where the server is and how to get in. `tls`: None for security `none`; `ehlo_name`: what we greet with."""

    host: str
    port: int
    security: Security
    username: str
    password: str = field(repr=False)
    ehlo_name: str
    tls: ssl.SSLContext | None
    timeout: timedelta


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Certificates and host names are checked; the system's authorities are trusted, and those in `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


async def open_session(endpoint: Endpoint) -> Session:
    """A session that is connected, greeted, encrypted and logged in as the endpoint asks. Raises RouteDown."""
    smtp = aiosmtplib.SMTP(
        hostname=endpoint.host,
        port=endpoint.port,
        local_hostname=endpoint.ehlo_name,
        use_tls=endpoint.security == "tls",
        start_tls=endpoint.security == "starttls",
        tls_context=endpoint.tls,
        timeout=endpoint.timeout.total_seconds(),
    )
    try:
        async with asyncio.timeout(endpoint.timeout.total_seconds()):
            await smtp.connect()
            await _greet(smtp)
            if endpoint.username:
                await _login(smtp, endpoint.username, endpoint.password)
            if smtp.transport is None:
                raise aiosmtplib.SMTPServerDisconnected("Connection lost")
            return Session(cast(asyncio.Transport, smtp.transport), Capabilities.of(smtp.esmtp_extensions))
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        smtp.close()
        raise RouteDown(_why(error, endpoint)) from error
    except BaseException:
        smtp.close()
        raise


async def _greet(smtp: aiosmtplib.SMTP) -> None:
    # STARTTLS forgets the first EHLO's answer, as it must (RFC 3207 §4.2).
    if not smtp.is_ehlo_or_helo_needed:
        return
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code == SERVICE_CLOSING or not smtp.is_connected:
            raise
        await smtp.helo()


async def _login(smtp: aiosmtplib.SMTP, username: str, password: str) -> None:
    """Try what both sides know. Unlike `smtp.login`, a refusal is not forgotten when the server then hangs up."""
    methods = {"cram-md5": smtp.auth_crammd5, "plain": smtp.auth_plain, "login": smtp.auth_login}
    refusal: aiosmtplib.SMTPAuthenticationError | None = None
    for name in smtp.supported_auth_methods:
        try:
            await methods[name](username, password)
            return
        except aiosmtplib.SMTPAuthenticationError as error:
            refusal = error
            if error.code == SERVICE_CLOSING:
                break
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
            if refusal is None:
                raise
            break
    raise refusal or aiosmtplib.SMTPNotSupported("the server offers no login we know")


def _why(error: Exception, endpoint: Endpoint) -> Deferred | Rejected:
    """The outcome of having no session. Only what staff must mend is a refusal; all else may pass."""
    place = f"{endpoint.host}:{endpoint.port}"
    certificate = next((e for e in (error, error.__cause__) if isinstance(e, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return _refused("tls_certificate", f"{place} shows a certificate that is not valid: {certificate}")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _unwelcome(error, place)
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return _down(Fault.DROPPED, f"{place} hung up before the session was up")
    if isinstance(error, TimeoutError):
        return _down(Fault.TIMED_OUT, f"{place} gave no answer within {endpoint.timeout.total_seconds():g} s")
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return _down("connect_failed", str(error) or f"{place} cannot be reached")
    if isinstance(error, aiosmtplib.SMTPException):
        # What is left is an extension that we were told to use and that the server does not have.
        return _refused("smtp_not_supported", f"{place}: {error}")
    return _refused("smtp_unusable", f"{place}: {error}")


def _unwelcome(error: aiosmtplib.SMTPResponseException, place: str) -> Deferred | Rejected:
    """A 5xx greeting or EHLO may be a bad hour; a login refused for good is staff's to mend."""
    reply = Reply(error.code, error.message)
    if error.code < 200:
        return _down(Fault.GARBAGE, f"{place} answered something that is not SMTP: {explain(Stage.CONNECT, reply)}")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code // 100 == 5:
        return _refused(label(reply), explain(Stage.AUTH, reply))
    return _down(label(reply), explain(_stage(error), reply))


def _stage(error: aiosmtplib.SMTPResponseException) -> Stage:
    if isinstance(error, aiosmtplib.SMTPConnectResponseError):
        return Stage.CONNECT
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return Stage.AUTH
    return Stage.EHLO if isinstance(error, aiosmtplib.SMTPHeloError) else Stage.STARTTLS


def _down(code: str, reason: str) -> Deferred:
    return Deferred(scope=FailureScope.ROUTE, code=str(code), reason=reason)


def _refused(code: str, reason: str) -> Rejected:
    return Rejected(scope=FailureScope.ROUTE, code=code, reason=reason)
