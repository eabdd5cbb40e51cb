"""Users and tokens from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
PASSWORD = "correct horse battery staple"


def test_users(oc: Run, folder: Path) -> None:
    added = oc("user", "add", "ann", "--role", "operator", "--password-stdin", stdin=PASSWORD + "\n")
    assert added.code == 0, added.err
    assert PASSWORD not in added.out + added.err
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    assert oc("user", "add", "bob", "--role", "admin", "--password-file", str(secret), "--json").json["name"] == "bob"
    assert oc("user", "add", "ann", "--role", "viewer", "--password-stdin", stdin=PASSWORD).code == 1
    assert oc("user", "disable", "ann").code == 0
    users = {user["name"]: user for user in oc("user", "list", "--json").json["users"]}
    assert users["ann"]["disabled_at"] is not None
    assert users["bob"]["role"] == "admin"
    assert "disabled" in oc("user", "list").out
    assert oc("user", "disable", "nobody").code == 2


def test_a_password_must_come_from_somewhere_and_be_long(oc: Run) -> None:
    nothing = oc("user", "add", "ann", "--role", "admin")
    assert nothing.code == 2
    assert "--password-stdin" in nothing.err
    short = oc("user", "add", "ann", "--role", "admin", "--password-stdin", stdin="short")
    assert short.code == 2
    assert short.mistakes[0].startswith("--password: ")
    assert oc("user", "list", "--json").json == {"users": []}


def test_tokens_are_shown_once(oc: Run) -> None:
    made = oc("token", "add", "ci", "--role", "operator", "--expires", "90d", "--json").json
    assert list(made) == ["token"]
    plain = oc("token", "add", "billing", "--role", "inventory")
    assert plain.out.startswith("oc_")
    assert plain.out.count("\n") == 1
    listed = oc("token", "list", "--json")
    assert made["token"] not in listed.out
    assert [token["state"] for token in listed.json["tokens"]] == ["active", "active"]
    assert oc("token", "revoke", "ci").code == 0
    states = {token["name"]: token["state"] for token in oc("token", "list", "--json").json["tokens"]}
    assert states == {"ci": "revoked", "billing": "active"}
    assert oc("token", "add", "x", "--role", "operator", "--expires", "90").code == 2
    assert oc("token", "revoke", "nobody").code == 2
