"""Command lines: whatever is typed, each command answers with its work or with one sentence, never a traceback."""

from __future__ import annotations

import importlib
import json
import random
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from reasoning.setup.sweeps import SECTIONS
from tests.command_line import call
from vsa.commands import flatten, parse
from vsa.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {  # what each needs beside --cfg; several where the keys differ
    "reasoning.train": (
        ["+model=arlc"],
        ["+model=nvsa"],
        ["+model=learn_vrf", "dataset=iraven_x"],
        ["+model=arlc", "dataset=files", "dataset.path=nowhere"],
    ),
    "reasoning.benchmark": (
        ["+model=arlc"],
        ["+model=nvsa", "backend=crossbar_pcm"],
        ["+model=symbolic", "dataset=iraven_x"],
    ),
    "reasoning.explain": (["+model=arlc"], ["+model=symbolic"]),
    "reasoning.prompts": ([],),
    "reasoning.solve": ([], ["+model=symbolic"]),
    "datasets.generate": ([], ["dataset=iraven_x", "format=json"]),
    "factorizers.capacity": tuple(
        [f"+factorizer={name}", *more]
        for name, more in (
            ("in_memory", []),
            ("block_code", ["backend=crossbar_pcm"]),
            ("join", []),
            ("exhaustive", []),
            ("resonator", []),
            ("asymmetric", []),
            ("group_search", []),
        )
    ),
}
WITHOUT_SETTINGS = ("datasets.probe", "datasets.check")  # they read their few arguments themselves

# What makes sense of no setting: no key takes it.
NONSENSE = ("{a:1}", "{a:{b:[1]}}", "[[1]]", "[null]", "nan", "inf", "-inf", "1e400", "[.inf]", "'\\x00'", "x" * 5000)
# What makes sense of some.
ODD = ("[1]", "[]", "1e12", "1e38", "1000000000", "10**9", ".inf", "-1", "0", "0.5", "null", "''", "true", "{}", "3")
ODD += ("'ünïcödé'", "'名前'", "'a/b'", "abc", "[a,b]", "9" * 26, "' '", "0x10", "-0.0", "[1,1]", "'..'", "1_000", "@x")
# What hydra has a syntax for.
SYNTAX = (
    "${nothing}",
    "${seed}",
    "???",
    "a,b",
    "p/a,b",
    "=",
    "a=b",
    '"',
    "'",
    "(",
    "$(x)",
    "range(3)",
    "~",
    "ünï",
    "[",
    "\\",
)
SWEPT = {"reasoning.benchmark": SECTIONS, "factorizers.capacity": ("factorizer", "algebra", "backend")}
TEXT = ("out", "plot", "dataset.cache_dir", "dataset.path", "checkpoint", "perception.checkpoint", "prompts", "answers")
TEXT += ("slurm.folder", "slurm.partition", "perception.device", "constellation", "test_constellation")


def keys(module: str, base: Sequence[str]) -> list[str]:
    code, out, err = call(module, [*base, "--cfg"])
    assert code == 0, err
    return [key.replace(".options.", ".", 1) for key in flatten(yaml.safe_load(out))]


def wrong(module: str, arguments: Sequence[str]) -> str:
    """What is wrong with a command's answer; empty where nothing is."""
    code, _, err = call(module, arguments)
    if code not in (0, 2):
        return f"a traceback: {code}"
    said = [line for line in err.splitlines() if line.startswith("error:")]
    if code == 2 and (len(said) != 1 or not err.rstrip().splitlines()[-1].startswith("error:")):
        return f"not one sentence: {err!r}"
    if code == 2 and len(said[0]) > 1500:
        return f"a sentence of {len(said[0])} characters"
    if code == 0 and err.strip():
        return f"exit code 0, and yet {err!r}"
    return ""


def senseless(module: str, key: str, value: str) -> bool:
    """Whether the command may not take the value, whatever the key."""
    if value not in NONSENSE:
        return False
    if value == "[null]" and key.partition(".")[0] in SWEPT.get(module, ()):
        return False  # a sweep of one point
    if key in TEXT and value in ("nan", "inf", "-inf", "1e400", "'\\x00'"):  # a folder may be called so
        return False
    return not (key in ("answers", "checkpoint") and value == "{a:1}")


def fuzz(module: str, base: Sequence[str], draw: random.Random, times: int) -> Iterator[str]:
    every = keys(module, base)
    for _ in range(times):
        key, value = draw.choice(every), draw.choice(draw.choice((NONSENSE, ODD, SYNTAX)))
        arguments = [*base, f"{key}={value}", "--cfg"]
        fault = wrong(module, arguments)
        if not fault and senseless(module, key, value) and call(module, arguments)[0] == 0:
            fault = "nonsense is accepted"
        if fault:
            yield f"{module} {' '.join(base)} {key}={value[:40]}: {fault}"


EVERY = [(module, base) for module, bases in COMMANDS.items() for base in bases]
NAMES = [" ".join((module, *base)) for module, base in EVERY]


@pytest.mark.parametrize(("module", "base"), EVERY, ids=NAMES)
def test_any_value_of_any_key_is_taken_or_refused_in_a_sentence(module: str, base: list[str]) -> None:
    assert list(fuzz(module, base, random.Random(f"{module} {base}"), 2)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("module", "base"), EVERY, ids=NAMES)
def test_many_values_of_many_keys(module: str, base: list[str]) -> None:
    assert list(fuzz(module, base, random.Random(f"many {module} {base}"), 24)) == []


def test_the_fuzzer_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotaged: a check that lets everything pass, and one that fails."""
    from vsa.commands import schema

    base, here = ["+factorizer=join"], sys.modules[__name__]
    monkeypatch.setattr(here, "keys", lambda module, base: ["queries"])
    for name in ("NONSENSE", "ODD", "SYNTAX"):
        monkeypatch.setattr(here, name, ("{a:1}",))
    assert list(fuzz("factorizers.capacity", base, random.Random(0), 1)) == []
    real = schema._scalar
    monkeypatch.setattr(schema, "_scalar", lambda hint, value: 1 if isinstance(value, dict) else real(hint, value))
    (fault,) = fuzz("factorizers.capacity", base, random.Random(0), 1)
    assert fault.endswith("nonsense is accepted")
    monkeypatch.setattr(schema, "_scalar", lambda hint, value: value.nothing)
    (fault,) = fuzz("factorizers.capacity", base, random.Random(0), 1)
    assert "a traceback" in fault


REFUSED = {  # command -> arguments that make no sense, each in a sentence that names the setting
    "reasoning.train": [
        "lr=1e38",
        "lr=.inf",
        "lr=nan",
        "threads=1000000000",
        "threads=10**9",
        "workers=1e12",
        "batch_size=1e12",
        "epochs=1e12",
        "dataset.n=1e12",
        "dataset.test_n=1e12",
        "model.training.lr=fast",
        "model.training.epochs={a:1}",
        "model.training.schedule=3",
        "model.training.weight_decay=[1]",
        "+model.training.momentum=0.9",
        "model.rules=1e9",
        "model.temperature=nan",
        "model.weighting=9",
        "model.prior=3",
        "perception.smoothing=abc",
        "perception.p_left=7",
        "perception.seed=x",
        "algebra.dim=1e12",
        "algebra.blocks=[1]",
        "backend.topk_elements={a:1}",
        "checkpoints.every_seconds=inf",
        "checkpoints.keep=1e12",
        "seed=1e38",
    ],
    "reasoning.benchmark": ["dataset.maxval=[[1]]", "model.temperature=.inf", "test_batch_size=1e38", "decoder=9"],
    "reasoning.explain": ["index=-1", "index=1e38", "model.rules=0.5"],
    "reasoning.prompts": ["digits=inf", "perception.p_left=nan", "dataset.columns=1e12"],
    "datasets.generate": ["n=1e12", "start=-1", "workers=1000000000", "images=3", "format=[raven]", "seed=x"],
    "factorizers.capacity": [
        "factorizer.slots={a:1}",
        "factorizer.elements={a:1}",
        "+factorizer.published='a/b'",
        "dim=1e12",
        "factors=1e9",
        "queries=.inf",
        "noise=inf",
        "size=1e12",
        "threads=1000000000",
        "damage={a:1}",
        "algebra.dim=[1]",
        "algebra.x={a:1}",
        "slurm.memory_gb=1e38",
        "dim=100",
        "executor=[a]",
    ],
}
CASES = [(module, argument) for module, arguments in REFUSED.items() for argument in arguments]


@pytest.mark.parametrize(("module", "argument"), CASES, ids=[" ".join(case) for case in CASES])
def test_what_makes_no_sense_is_refused_by_cfg_too(module: str, argument: str) -> None:
    base = ["+factorizer=block_code"] if module == "factorizers.capacity" else COMMANDS[module][0]
    if argument == "dim=100":  # blocks do not divide it
        base = [*base, "blocks=3"]
    code, out, err = call(module, [*base, argument, "--cfg"])
    assert (code, out) == (2, ""), (code, err)
    assert wrong(module, [*base, argument, "--cfg"]) == ""


def test_codebooks_beyond_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from factorizers import cells

    arguments = ["+factorizer=join", "dim=1024", "size=1000", "--cfg"]
    assert call("factorizers.capacity", arguments)[0] == 0
    monkeypatch.setattr(cells, "_physical_memory", lambda: 2.0**20)
    code, _, err = call("factorizers.capacity", arguments)
    assert (code, "setting size: received codebooks of" in err) == (2, True)


def test_dataset_maxval_as_a_list_is_a_sweep_or_a_sentence() -> None:
    arguments = ["+model=arlc", "dataset=iraven_x", "--cfg"]
    assert call("reasoning.benchmark", [*arguments, "dataset.maxval=[1000]"])[0] == 0
    for value in ("[[1]]", "[]", "[{a:1}]", "[x]", "[1e12]"):
        code, _, err = call("reasoning.benchmark", [*arguments, f"dataset.maxval={value}"])
        assert (code, "dataset.maxval" in err) == (2, True)
    code, _, err = call("datasets.generate", ["dataset=iraven_x", "dataset.maxval=[1]", "out=x"])
    assert (code, "dataset.maxval" in err) == (2, True)


@pytest.mark.parametrize("module", [*COMMANDS, *WITHOUT_SETTINGS])
def test_every_command_says_its_version(module: str) -> None:
    code, out, _ = call(module, ["--version"])
    assert code == 0
    assert re.fullmatch(r"vsa-reasoning( \d+\.\d+\S*|, from a folder that was not installed)\n", out)


@pytest.mark.parametrize("module", COMMANDS)
def test_the_help_names_what_every_command_has(module: str) -> None:
    _, out, _ = call(module, ["--help"])
    assert all(f"  {flag} " in out for flag in ("--cfg", "--debug", "--version"))


@pytest.mark.parametrize(
    "argument",
    [
        "n=0",
        "n=1000000000000",
        "n=x",
        "n=\u0663",
        f"n={'9' * 5000}",
        "seed=99999999999999999999",
        "dataset=x",
        "x",
        "--x",
    ],
)
def test_probe_refuses_in_a_sentence(argument: str) -> None:
    assert call("datasets.probe", [argument])[0] == 2
    assert wrong("datasets.probe", [argument]) == ""


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["x" * 5000], ["nowhere"], ["maxval=9"], ["pixels=3", "."], ["--x"]]
)
def test_check_refuses_in_a_sentence(arguments: list[str]) -> None:
    assert call("datasets.check", arguments)[0] == 2
    assert wrong("datasets.check", arguments) == ""


# ------------------------------------------------------------------------------------------------------------ quoting


@pytest.mark.parametrize(
    "value",
    [
        "a=b",
        "p/a,b",
        "\u00fcn\u00ef",
        "(",
        '"',
        "'a",
        "it's,b",
        "$(x)",
        "a\\b,c",
        "\u540d\u524d",
        "a b=c",
        "~x",
        "[",
        "{a",
    ],
)
def test_the_hint_gives_the_very_text(value: str) -> None:
    """What the sentence says to write is what the shell and the command then read."""
    with pytest.raises(SettingsError) as caught:
        parse([f"out={value}"])
    (word,) = shlex.split(
        re.findall(r"write (\S.*?) for (?:this very|one) text", caught.value.hint)[-1].rpartition(" write ")[2]
    )
    (override,) = parse([word])
    assert (override.key_or_group, override.value()) == ("out", value)


def test_the_hint_gives_the_list() -> None:
    with pytest.raises(SettingsError, match=r"write 'seeds=\[1,2\]' for a list, or write 'seeds=\"1,2\"' for one text"):
        parse(["seeds=1,2"])
    with pytest.raises(SettingsError, match="name one value"):
        parse(["seeds=range(3)"])


_UNQUOTED = re.compile(r"(?<![\w'\"$+.])\+{0,2}[\w.]+=['\"]?[^\s'\"`]*[\[{(*?]")
_COMMAND = re.compile(r"python -m (?:reasoning|datasets|factorizers)\b")


def shell_examples() -> Iterator[tuple[str, str]]:
    """Lines that a reader may copy into a shell: where, line."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "vsa").rglob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for part in [line] if _COMMAND.match(line) else re.findall(r"`([^`]+)`", line):
                if _COMMAND.search(part):
                    yield path.name, part
    for path in (ROOT / "conf").rglob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#") and _COMMAND.search(line) and "dataset.holdout=$pair" not in line:
                yield path.name, line
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for line in "".join(cell["source"]).splitlines():
                if _COMMAND.search(line):
                    yield path.name, line
    for module in COMMANDS:
        for line in importlib.import_module(module).USAGE.splitlines():
            yield module, re.split(r" {2,}(?=\w)", line[2:])[0] if line.startswith("  ") else line


def test_shell_examples_are_quoted() -> None:
    """zsh refuses brackets without quotes, and bash takes braces apart."""
    examples = list(shell_examples())
    assert len(examples) > 60
    assert [example for example in examples if _UNQUOTED.search(example[1])] == []


@pytest.mark.parametrize("line", ["python -m reasoning.train seeds=[0,1]", "answers={A:b}", "+model.x=[1]", "out=a*"])
def test_an_unquoted_example_is_found(line: str) -> None:
    assert _UNQUOTED.search(line)
    assert not _UNQUOTED.search(line.replace(line.split()[-1], f"'{line.split()[-1]}'"))
