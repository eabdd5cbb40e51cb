"""What a caller may mean by what he says."""

import pytest

from outagecast.domain.look_up import Asked, read


@pytest.mark.parametrize(
    "text",
    [
        "8595550123",
        "859-555-0123",
        "(859) 555-0123",
        "859.555.0123",
        "859 555 0123 ext. 12",
        "859/5550123 x7",
        "+1 859 555 0123",
        "001 859 555 0123",
        "1 859 555 0123",
        " 859\u2011555\u20110123 ",
    ],
)
def test_a_number_in_any_spelling(text: str) -> None:
    found = read(text, "US")
    assert found.phone == "+18595550123"
    assert found.digits.endswith("8595550123")
    assert (found.name, found.email) == ("", "")


def test_a_number_without_a_region_is_known_by_its_end() -> None:
    found = read("859-555-0123", None)
    assert (found.phone, found.digits) == ("", "8595550123")
    assert read("+44 20 7946 0123", "US").phone == "+442079460123"
    assert read("0044 20 7946 0123", "US").phone == "+442079460123"


def test_a_few_digits_are_the_end_of_a_number_or_an_id() -> None:
    assert read("50123", "US") == Asked(digits="50123", ids=("50123",))
    assert read("1201", "US") == Asked(ids=("1201",), name="1201")


def test_an_address_as_far_as_it_was_spelt() -> None:
    assert read(" NOC@Acme. example ", "US") == Asked(email="noc@acme.example")
    assert read("noc@", "US").email == "noc@"


def test_an_id_in_its_spellings_and_a_name() -> None:
    found = read("cir 17", "US")
    assert {"cir 17", "CIR 17", "CIR-17"} <= set(found.ids)
    assert found.name == "cir 17"
    assert read("O'Brien  &  Sons", None).name == "O'Brien & Sons"
    assert read("   ", "US") == Asked()
