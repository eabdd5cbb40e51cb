"""Signatures, statuses, inbound texts."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict, MultiDictProxy
from twilio.request_validator import RequestValidator

from outagecast.channels.sms.receipts import (
    Inbound,
    OptOut,
    from_account,
    parse_inbound,
    parse_status,
    verify_signature,
)
from outagecast.domain.delivery import Receipt, ReceiptState

TOKEN = "e3b0c44298fc1c14"
URL = "https://status.example.net/callbacks/twilio/status?attempt=k%201&x="
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+18595550123", "Body": "Łódź €", "Empty": ""}


def sign(url: str, form: dict[str, str], token: str = TOKEN) -> str:
    """The scheme once more, straight from its description."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


def test_a_fixed_vector_holds() -> None:
    assert sign("https://a.example/x", {"B": "2", "A": "1"}, "t") == "zNpvA/6tBWRxtak5qexUur99JTI="
    assert verify_signature("t", "https://a.example/x", {"B": "2", "A": "1"}, "zNpvA/6tBWRxtak5qexUur99JTI=")


def test_the_right_signature_is_taken() -> None:
    assert verify_signature(TOKEN, URL, FORM, sign(URL, FORM))


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://h.example:443/c?a=1", "https://h.example/c?a=1"),
        ("https://h.example/c?a=1", "https://h.example:443/c?a=1"),
        ("http://h.example:80/c", "http://h.example/c"),
        ("http://h.example:8080/c", "http://h.example:8080/c"),
    ],
)
def test_with_and_without_the_default_port(signed: str, seen: str) -> None:
    assert verify_signature(TOKEN, seen, FORM, sign(signed, FORM))


@pytest.mark.parametrize("signature", [None, "", "x", "ž", sign(URL, FORM)[:-2] + "A=", sign(URL, FORM).lower()])
def test_a_missing_or_wrong_signature_is_refused(signature: str | None) -> None:
    assert not verify_signature(TOKEN, URL, FORM, signature)


def test_another_token_url_scheme_or_form_is_refused() -> None:
    good = sign(URL, FORM)
    assert not verify_signature("other", URL, FORM, good)
    assert not verify_signature(TOKEN, URL + "2", FORM, good)
    assert not verify_signature(TOKEN, URL.replace("https", "http"), FORM, good)
    assert not verify_signature(TOKEN, URL, FORM | {"MessageStatus": "failed"}, good)
    assert not verify_signature(TOKEN, URL, FORM | {"More": "1"}, good)
    assert not verify_signature(TOKEN, "no url", FORM, good)


def test_an_uploaded_file_is_refused_not_an_error() -> None:
    assert not verify_signature(TOKEN, URL, {"MessageSid": b"SM1"}, sign(URL, FORM))


def test_values_given_twice_count_once_each_in_order() -> None:
    form = MultiDictProxy(MultiDict([("D", "5678"), ("D", "1234"), ("D", "1234"), ("A", "x")]))
    said = "https://h.example/c" + "Ax" + "D1234" + "D5678"
    good = base64.b64encode(hmac.new(TOKEN.encode(), said.encode(), hashlib.sha1).digest()).decode()
    assert verify_signature(TOKEN, "https://h.example/c", form, good)
    assert not verify_signature(TOKEN, "https://h.example/c", {"A": "x", "D": "5678"}, good)


@given(st.dictionaries(st.text(min_size=1), st.text()), st.text(st.characters(categories=["L", "N"])))
def test_what_the_sdk_signs_we_take(form: dict[str, str], token: str) -> None:
    url = "https://status.example.net/callbacks/twilio/inbound"
    form = {k.encode(errors="replace").decode(): v.encode(errors="replace").decode() for k, v in form.items()}
    signature = RequestValidator(token).compute_signature(url, form)
    assert verify_signature(token, url, form, signature)
    assert not verify_signature(token + "x", url, form, signature)


def test_a_form_of_another_account_is_not_ours() -> None:
    assert from_account({"AccountSid": "AC1"}, "AC1")
    assert from_account({}, "AC1")
    assert not from_account({"AccountSid": "AC2"}, "AC1")
    assert not from_account({"AccountSid": ""}, "AC1")


@pytest.mark.parametrize(
    ("status", "state"),
    [(s, ReceiptState.ACCEPTED) for s in ("queued", "accepted", "sending", "sent", "scheduled", "SENT")]
    + [(s, ReceiptState.DELIVERED) for s in ("delivered", "read")]
    + [(s, ReceiptState.UNDELIVERED) for s in ("undelivered", "failed", "canceled")],
)
def test_every_status_has_its_state(status: str, state: ReceiptState) -> None:
    receipt = parse_status({"MessageSid": "SM1", "MessageStatus": status}, {"attempt": "k1"})
    assert receipt == Receipt(key="k1", provider_id="SM1", state=state, code=status.lower())


@pytest.mark.parametrize("status", ["", "huh", "received", "receiving", "partially_delivered"])
def test_an_unknown_status_says_nothing(status: str) -> None:
    assert parse_status({"MessageSid": "SM1", "MessageStatus": status}, {"attempt": "k1"}) is None


@pytest.mark.parametrize(
    ("code", "suppress_as", "word"),
    [
        ("21610", "opted_out", "21610"),
        ("30005", "dead_address", "30005"),
        ("30006", "dead_address", "30006"),
        ("21614", "dead_address", "21614"),
        ("30003", None, "30003"),
        ("30007", None, "30007"),
        ("99999", None, "99999"),
        ("", None, "undelivered"),
        ("0", None, "undelivered"),
        ("٣٠٠٠٥", None, "undelivered"),
        ("x" * 5000, None, "undelivered"),
    ],
)
def test_a_failure_names_its_code_and_who_to_leave_alone(code: str, suppress_as: str | None, word: str) -> None:
    form = dict(
        parse_qsl(f"SmsSid=SM2&SmsStatus=undelivered&ErrorCode={code}&AccountSid=AC1&RawDlrDoneDate=2601140914")
    )
    receipt = parse_status(form, {})
    assert receipt is not None
    assert (receipt.key, receipt.provider_id, receipt.state) == (None, "SM2", ReceiptState.UNDELIVERED)
    assert (receipt.code, receipt.suppress_as) == (word, suppress_as)


def test_a_call_that_names_no_message_says_nothing() -> None:
    assert parse_status({"MessageStatus": "delivered"}, {}) is None
    assert parse_status({"MessageStatus": "delivered"}, {"attempt": "k1"}) is not None


@pytest.mark.parametrize(
    ("body", "named", "opt_out"),
    [
        ("Stop.", None, OptOut.STOP),
        ("START", None, OptOut.START),
        ("info", None, OptOut.HELP),
        ("when is it back?", None, None),
        ("", None, None),
        ("arrêt", "STOP", OptOut.STOP),
        ("anything", "START", OptOut.START),
        ("anything", "help", OptOut.HELP),
        ("stop", "NEWWORD", OptOut.STOP),
    ],
)
def test_inbound_texts_and_what_they_ask(body: str, named: str | None, opt_out: OptOut | None) -> None:
    form = {"From": "+18595550123", "To": "+18595550100", "Body": body, "MessageSid": "SM9"}
    if named is not None:
        form["OptOutType"] = named
    assert parse_inbound(form) == Inbound(
        from_="+18595550123", to="+18595550100", body=body, message_sid="SM9", opt_out=opt_out
    )


def test_a_picture_without_words_is_an_inbound_text_too() -> None:
    form = {"From": "+18595550123", "To": "+18595550100", "SmsSid": "SM9", "NumMedia": "1"}
    assert parse_inbound(form) == Inbound(
        from_="+18595550123", to="+18595550100", body="", message_sid="SM9", opt_out=None
    )
