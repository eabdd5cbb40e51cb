"""The command line itself: what it costs, what it says, where its words go, and its exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from outagecast.cli import COMMANDS
from outagecast.commands.lazy import load

Run = Callable[..., Any]


def process(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real command, as a shell starts it."""
    clean = {name: value for name, value in os.environ.items() if name != "OUTAGECAST_CONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "outagecast", *words],
        cwd=cwd,
        env=clean | {"PYTHONPATH": os.getcwd(), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_does_not_import_the_daemon() -> None:
    look = (
        "import sys\nfrom outagecast.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'sqlalchemy', 'aiohttp', 'pydantic', 'outagecast.app'} & set(sys.modules), sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "declare" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_what_its_line_says(name: str) -> None:
    place, what = COMMANDS[name]
    command = load(place)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(100) == what


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "sandbox"])
def test_every_command_takes_config_behind_its_name(name: str) -> None:
    command = load(COMMANDS[name][0])
    commands = [command, *command.commands.values()] if isinstance(command, click.Group) else [command]
    for each in commands:
        assert "--config" in {word for parameter in each.params for word in parameter.opts}
        assert each is command or "--json" in {word for parameter in each.params for word in parameter.opts}


def test_a_wrong_word_is_one_line(oc: Run) -> None:
    done = oc("declare", "Cut", "--elment", "POP-HAZ")
    assert done.code == 2
    assert done.out == ""
    assert len(done.mistakes) == 1
    assert "--element" in done.err


def test_config_is_found_in_order(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    nothing = process("db", "check", cwd=elsewhere)
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("there is no ./config.toml")
    assert process("check-config", cwd=folder).stdout == "ok\n"
    named = process("check-config", cwd=elsewhere, OUTAGECAST_CONFIG=str(folder / "config.toml"))
    assert named.stdout == "ok\n"
    assert process("--config", str(folder / "config.toml"), "check-config", cwd=elsewhere).stdout == "ok\n"
    broken = folder / "broken.toml"
    broken.write_text("[provider]\n")
    after = process("--config", str(folder / "config.toml"), "check-config", "--config", str(broken), cwd=elsewhere)
    assert after.returncode == 1
    assert after.stdout == ""


def test_check_config_lists_every_mistake(oc: Run, folder: Path) -> None:
    golden = Path(__file__).parent.parent / "golden" / "config"
    done = oc("check-config", str(golden / "mistakes.toml"))
    assert done.code == 1
    assert done.out == ""
    wanted = (golden / "mistakes.txt").read_text().splitlines()
    assert [line.partition(".toml:")[2].replace(str(golden), "/nowhere") for line in done.mistakes] == [
        line.partition(".toml:")[2] for line in wanted
    ]
    as_json = oc("check-config", str(golden / "mistakes.toml"), "--json")
    assert as_json.code == 1
    assert as_json.json == {"ok": False, "mistakes": done.mistakes, "warnings": []}


def test_check_config_warns_and_is_content(oc: Run, folder: Path) -> None:
    (folder / "config.toml").chmod(0o644)
    done = oc("check-config")
    assert (done.code, done.out) == (0, "ok\n")
    assert done.err.startswith("warning: ")
    assert "others can read" in done.err
    assert oc("check-config", "--json").json["ok"] is True


def test_a_database_that_is_not_there_is_not_made_by_looking(oc: Run, folder: Path) -> None:
    done = oc("db", "check")
    assert done.code == 1
    assert "outagecast db upgrade" in done.err
    assert not (folder / "outagecast.db").exists()
    assert oc("db", "upgrade").code == 0
    assert oc("db", "check").out == "the database is sound\n"
    assert oc("db", "check", "--json").json == {"ok": True, "mistakes": []}
