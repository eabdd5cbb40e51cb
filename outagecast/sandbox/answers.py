"""What the gateway's answers look like: messages, pages of them, the account, errors, and no answer at all."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlencode

from aiohttp import web

from outagecast.sandbox.store import TextItem
from outagecast.sandbox.wire import reset_on_close

WORDS = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service Unavailable",
    21211: "The 'To' number is not a valid phone number",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21624: "Invalid validity period value",
}
ROOT = "/2010-04-01/Accounts"


class Refusal(Exception):
    """The gateway says no: HTTP status and Twilio's code."""

    def __init__(self, status: int, code: int, message: str = "", retry_after: int | None = None) -> None:
        super().__init__(message or WORDS.get(code, "As ordered"))
        self.status = status
        self.code = code
        self.retry_after = retry_after


def message_json(item: TextItem, *, account: str) -> dict[str, object]:
    """One message as the API shows it; dates are RFC 2822 and UTC, numbers are strings where Twilio's are."""
    uri = f"{ROOT}/{account}/Messages/{item.sid}"
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": item.body,
        "date_created": format_datetime(item.at),
        "date_sent": format_datetime(item.sent_at) if item.sent_at else None,
        "date_updated": format_datetime(item.updated_at or item.at),
        "direction": "outbound-api",
        "error_code": item.error,
        "error_message": None,
        "from": None if item.status == "accepted" else item.sender,
        "messaging_service_sid": item.service or None,
        "num_media": "0",
        "num_segments": str(item.segments),
        "price": f"-{0.0079 * item.segments:.5f}" if item.sent_at else None,
        "price_unit": "USD",
        "sid": item.sid,
        "status": item.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": item.to,
        "uri": f"{uri}.json",
    }


def page_json(items: Iterable[TextItem], query: Mapping[str, str], *, account: str) -> dict[str, object]:
    """A page of the message list, filtered by To, From, DateSent, `DateSent<` and `DateSent>` (both inclusive)."""
    size = _whole(query.get("PageSize", "50"), least=1, most=1000)
    page = _whole(query.get("Page", "0"), least=0, most=10**9)
    earliest, latest = _window(query)
    found = [item for item in items if _wanted(item, query, earliest, latest)]
    start = page * size
    shown = found[start : start + size]
    kept = [(key, value) for key, value in query.items() if key not in ("Page", "PageSize", "PageToken")]

    def link(number: int) -> str:
        words = urlencode([*kept, ("PageSize", str(size)), ("Page", str(number))])
        return f"{ROOT}/{account}/Messages.json?{words}"

    return {
        "messages": [message_json(item, account=account) for item in shown],
        "page": page,
        "page_size": size,
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "uri": link(page),
        "first_page_uri": link(0),
        "previous_page_uri": link(page - 1) if page > 0 else None,
        "next_page_uri": link(page + 1) if len(found) > start + size else None,
    }


def account_json(account: str, auth_token: str) -> dict[str, object]:
    made = format_datetime(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
    return {
        "sid": account,
        "owner_account_sid": account,
        "friendly_name": "Sandbox",
        "status": "active",
        "type": "Full",
        "auth_token": auth_token,
        "date_created": made,
        "date_updated": made,
        "subresource_uris": {"messages": f"{ROOT}/{account}/Messages.json"},
        "uri": f"{ROOT}/{account}.json",
    }


def refused(refusal: Refusal) -> web.Response:
    body = {
        "code": refusal.code,
        "message": str(refusal),
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    return web.json_response(body, status=refusal.status, headers=headers)


def cut(request: web.Request, *, reset: bool) -> web.Response:
    """End the connection without an answer; the response returned goes nowhere."""
    if request.transport is not None:
        if reset:
            reset_on_close(request.transport)
            request.transport.abort()
        else:
            request.transport.close()
    return web.Response(status=500)


def _whole(text: str, *, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Refusal(400, 20001, "Page and PageSize must be whole numbers")
    return min(max(int(text), least), most)


def _window(query: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    on = query.get("DateSent", "")
    earliest = _moment(query.get("DateSent>", "") or on, end=False)
    latest = _moment(query.get("DateSent<", "") or on, end=True)
    return earliest, latest


def _moment(text: str, *, end: bool) -> datetime | None:
    """A date or a time of the query; a bare date means its first or its last second (UTC)."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, 20001, f"{text!r} is not a date") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment + timedelta(days=1, seconds=-1) if end and len(text) == len("2026-01-31") else moment


def _wanted(item: TextItem, query: Mapping[str, str], earliest: datetime | None, latest: datetime | None) -> bool:
    if query.get("To", item.to) != item.to or query.get("From", item.sender) != item.sender:
        return False
    sent = (item.sent_at or item.at).replace(microsecond=0)  # the API knows whole seconds only
    return (earliest is None or sent >= earliest.replace(microsecond=0)) and (latest is None or sent <= latest)
