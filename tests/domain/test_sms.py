"""Size, transliteration and words of texts, held against an independent implementation."""

import random
import unicodedata

import pytest
import smsutil
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.domain.sms import (
    Encoding,
    SmsSize,
    encode_info,
    is_help_word,
    is_start_word,
    is_stop_word,
    segments,
    strip_controls,
    transliterate,
)

GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
WIDE = "ąłŻ\u2013“”…Яж中文字😀🛠️\U0001d4b3\u202f\xa0"

gsm_text = st.text(st.sampled_from(GSM + EXTENSION * 4), max_size=700)
any_text = st.text(st.sampled_from(GSM + EXTENSION + WIDE * 4), max_size=400)


def by_smsutil(text: str) -> SmsSize:
    result = smsutil.split(text)
    if not text:  # calls it UTF-16; nothing is coded either way
        return SmsSize(encoding=Encoding.GSM7, units=0, segments=1)
    gsm = result.encoding == "gsm0338"
    return SmsSize(
        encoding=Encoding.GSM7 if gsm else Encoding.UCS2,
        units=result.total_bytes if gsm else result.total_bytes // 2,
        segments=len(result.parts),
    )


@settings(max_examples=1500, deadline=None)
@given(gsm_text)
def test_gsm_text_is_billed_as_the_independent_count_says(text: str) -> None:
    assert encode_info(text) == by_smsutil(text)


@settings(max_examples=1500, deadline=None)
@given(any_text)
def test_any_text_is_billed_as_the_independent_count_says(text: str) -> None:
    assert encode_info(text) == by_smsutil(text)


def test_ten_thousand_texts_round_the_seams_are_billed_alike() -> None:
    rng = random.Random(20260114)
    for _ in range(10_000):
        alphabet = rng.choice([GSM, GSM + EXTENSION * 12, EXTENSION, GSM + WIDE, "a😀"])
        length = rng.choice([69, 70, 71, 76, 77, 80, 133, 134, 135, 152, 153, 154, 159, 160, 161, 306, 307, 459])
        text = "".join(rng.choice(alphabet) for _ in range(max(0, length + rng.randint(-3, 3))))
        assert encode_info(text) == by_smsutil(text), text


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", Encoding.GSM7, 0, 1),
        ("a" * 160, Encoding.GSM7, 160, 1),
        ("a" * 161, Encoding.GSM7, 161, 2),
        ("a" * 306, Encoding.GSM7, 306, 2),
        ("a" * 307, Encoding.GSM7, 307, 3),
        ("€" * 80, Encoding.GSM7, 160, 1),
        # The pair that would begin in the last septet of the first segment moves over: 307 with the gap, so a third.
        ("a" * 152 + "€" + "a" * 152, Encoding.GSM7, 306, 3),
        ("a" * 151 + "€" + "a" * 153, Encoding.GSM7, 306, 2),
        ("ж" * 70, Encoding.UCS2, 70, 1),
        ("ж" * 71, Encoding.UCS2, 71, 2),
        ("ж" * 66 + "😀" + "ж" * 66, Encoding.UCS2, 134, 3),
        ("😀" * 35, Encoding.UCS2, 70, 1),
        ("a\xa0b", Encoding.UCS2, 3, 1),
    ],
)
def test_sizes_at_the_seams(text: str, encoding: Encoding, units: int, count: int) -> None:
    assert encode_info(text) == SmsSize(encoding=encoding, units=units, segments=count)
    assert segments(text) == count


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Bluegrass Fiber: your line “Main Office” is down — we\u2019re on it…", None),
        ("8:43\u202fAM\xa0EST", "8:43 AM EST"),
        ("Łódź, Gdańsk, Kraków", "Lodz, Gdansk, Kraków".replace("ó", "o")),
        ("Ça va être réparé à l\u2019Hôtel", "Ça va etre réparé à l'Hotel"),
        ("Þórður œuvre ŒUVRE", "Thordur oeuvre OEUVRE"),
        ("ﬁbre №5 ½ ™ 20 °C → \u00d72", "fibre No5 1/2 TM 20 degC -> x2"),
        ("soft\xadhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("e\u0301 u\u0308 q\u0303", "é ü q"),
        ("ångström Ωhm", "ångström Ωhm"),
        ("tab\there `tick\u00b4", "tab here 'tick'"),
        ("\uff46\uff55\uff4c\uff4c", "full"),
        ("Tiếng Việt", "Tiéng Viet".replace("é", "e")),
    ],
)
def test_latin_texts_become_gsm_7(text: str, plain: str | None) -> None:
    expected = plain if plain is not None else 'Bluegrass Fiber: your line "Main Office" is down - we\'re on it...'
    assert transliterate(text) == expected
    assert encode_info(transliterate(text)).encoding is Encoding.GSM7


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Авария: “дом” Łódź\xa05", 'Авария: "дом" Łódź 5'),
        ("停電 \u2013 修復中", "停電 \u2013 修復中"),
        ("Διακοπή \u2013 Łódź", "Διακοπή \u2013 Łódź"),
        ("Repaired ✅ \u2013 merci à l\u2019été", "Repaired ✅ \u2013 merci à l'été"),
    ],
)
def test_a_text_that_needs_ucs_2_keeps_its_letters(text: str, kept: str) -> None:
    assert transliterate(text) == kept


@given(st.text(st.sampled_from(GSM + EXTENSION)))
def test_a_gsm_text_is_left_as_it_is(text: str) -> None:
    assert transliterate(text) == text


@settings(max_examples=500)
@given(st.text())
def test_transliterating_never_costs_more_and_twice_is_once(text: str) -> None:
    once = transliterate(text)
    assert transliterate(once) == once
    before, after = encode_info(unicodedata.normalize("NFC", text)), encode_info(once)
    assert after.encoding is Encoding.GSM7 or after == before


@settings(max_examples=500)
@given(st.text(st.characters()))
def test_nothing_that_steers_the_display_is_left(text: str) -> None:
    clean = strip_controls(text)
    assert strip_controls(clean) == clean
    for char in clean:
        assert char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"}
        assert unicodedata.bidirectional(char) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("pay \u202e005$\u202c now\x1b[31m\x07", "pay 005$ now[31m"),
        ("a\r\nb\rc\u2028d\te", "a\nb\nc\nd e"),
        ("\ufeffhttps://ex\u200bam\u200dple.net\u200f", "https://example.net"),
        ("می‌خواهم 👩‍🔧", "می‌خواهم 👩‍🔧"),
        ("\ud83dbroken", "broken"),
    ],
)
def test_controls_and_direction_marks_go(text: str, clean: str) -> None:
    assert strip_controls(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        " stop ",
        "Stop.",
        "“STOP!”",
        "stop all",
        "StopAll",
        "UNSUBSCRIBE",
        "end",
        "Quit\n",
        "revoke",
        "OPT-OUT",
        "opt out",
        "Cancel",
        "\uff33\uff34\uff2f\uff30",
    ],
)
def test_words_that_opt_out(text: str) -> None:
    assert is_stop_word(text)
    assert not is_start_word(text)
    assert not is_help_word(text)


@pytest.mark.parametrize("text", ["START", "unstop!", " Yes. "])
def test_words_that_opt_in(text: str) -> None:
    assert is_start_word(text)
    assert not is_stop_word(text)


@pytest.mark.parametrize("text", ["HELP", "help?", "Info"])
def test_words_that_ask_for_help(text: str) -> None:
    assert is_help_word(text)
    assert not is_stop_word(text)


@pytest.mark.parametrize("text", ["", "!", "please don't stop", "when does it end", "yes it works", "help me", "stopp"])
def test_sentences_are_not_words(text: str) -> None:
    assert not (is_stop_word(text) or is_start_word(text) or is_help_word(text))
