"""Small files of ours that were damaged or written by hand: refused in a sentence, or nothing comes out otherwise.

Every command that reads such files is run on copies of a folder in which one was changed: bits flipped, ends cut off,
contents of another form under a checksum that is right.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.command_line import call
from vsa.commands.files import sealed

SMALL = ["dataset.n=8", "dataset.test_n=4", "constellation=center", "test_constellation=center", "epochs=2", "seed=1"]
SMALL += ["algebra.dim=64", "model.populations=1", "batch_size=4", "test_batch_size=4"]


class Action(NamedTuple):
    """A command, the folder that it reads, and the small files in it."""

    module: str
    arguments: tuple[str, ...]  # @ is the folder with everything
    files: tuple[str, ...]


ACTIONS = {
    "finished": Action(
        "reasoning.train",
        ("resume=@/run",),
        ("run/settings.yaml", "run/run.json", "run/results.json", "run/rules.json"),
    ),
    "open": Action(
        "reasoning.train", ("resume=@/open",), ("open/settings.yaml", "open/run.json", "open/checkpoints/*")
    ),
    "weights": Action(
        "reasoning.benchmark",
        ("checkpoint=@/run", "dataset.n=4", "constellation=center", "out=@/again"),
        ("run/weights.safetensors",),
    ),
    "benchmark": Action(
        "reasoning.benchmark",
        ("+model=symbolic", "dataset.n=4", "constellation=center", "out=@/bench"),
        ("bench/cells/*",),
    ),
    "capacity": Action(
        "factorizers.capacity",
        ("+factorizer=join", "dim=64", "size=8", "factors=2", "queries=20", "draws=1", "out=@/cap.json"),
        ("cap.json",),
    ),
    "json": Action(
        "datasets.generate", ("constellation=center", "n=3", "format=json", "out=@/json"), ("json/manifest.json",)
    ),
    "shards": Action(
        "datasets.generate",
        ("constellation=center", "n=3", "format=shards", "images=false", "out=@/shards"),
        ("shards/manifest.json",),
    ),
    "check": Action("datasets.check", ("@/shards",), ("shards/manifest.json",)),
    "prompts": Action(
        "reasoning.benchmark",
        ("answers=@/answers.jsonl", "prompts=@/prompts.jsonl", "out=@/answered"),
        ("prompts.settings.json", "answers.jsonl"),
    ),
}
# Results that are the same every time; times, memory and paths are not.
RESULTS = re.compile(r"results\.json|rules\.json|.*\.jsonl|.*\.xml|.*\.npz|.*\.npy")
ODD: tuple[Any, ...] = (None, 3, -1, True, "x", [], {}, 1e300, "\ud800", 10**400, [[[]]], {"a": {"b": [1]}})
WHOLE = (
    b"",
    b"[]",
    b"{}",
    b"null",
    b"3",
    b'"x"',
    b"[" * 100_000,
    b'{"a":' * 5000,
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"\0" * 20,
)
WHOLE += (b'{"a":1,"a":2}', b"NaN", b"[1e999]", b'"\\ud800"', b"9" * 10_000, b'{"files": 3}', b"? [a]\n: 3\n")
WHOLE += (b"a: &a [x]\nb: [*a, *a]\n", b"2001-01-01: 3\n", b"!!python/object/apply:os.system [ls]\n", b"a: &a [*a]\n")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything; it is copied."""
    base = tmp_path_factory.mktemp("base")
    done = [call("reasoning.train", ["+model=arlc", *SMALL, f"out={base}/run"])]
    shutil.copytree(base / "run", base / "open")
    for path in (*(base / "open" / "checkpoints").glob("finished*"), base / "open" / "weights.safetensors"):
        path.unlink()
    for name in ("results.json", "rules.json"):
        (base / "open" / name).unlink()
    for name in ("benchmark", "capacity", "json", "shards"):
        done.append(run(name, base))
    done.append(call("reasoning.prompts", ["dataset.n=2", "dataset.columns=3", f"out={base}/prompts.jsonl"]))
    prompts = [json.loads(line) for line in (base / "prompts.jsonl").read_text().splitlines()]
    answers = [json.dumps({"id": prompt["id"], "answer": "answer: 3"}) for prompt in prompts]
    (base / "answers.jsonl").write_text("\n".join(answers))
    assert [code for code, _, _ in done] == [0] * len(done), done
    return base


def run(name: str, folder: Path) -> tuple[int | str, str, str]:
    action = ACTIONS[name]
    return call(action.module, [argument.replace("@", str(folder)) for argument in action.arguments])


def files(name: str, base: Path) -> list[Path]:
    return sorted(path.relative_to(base) for pattern in ACTIONS[name].files for path in base.glob(pattern))


def results(folder: Path) -> dict[str, str]:
    """Hashes of what must come out the same."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and RESULTS.fullmatch(path.name):
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    capacity = json.loads((folder / "cap.json").read_bytes())
    wanted = ("settings", "right", "valid", "iterations_mean", "tau", "size", "factorizer")
    found["cap"] = json.dumps([[cell.get(key) for key in wanted] for cell in capacity])
    return found


def flips(name: str, base: Path, draw: random.Random, times: int) -> Iterator[tuple[Path, bytes, str]]:
    """Files with a bit flipped, a byte changed, the end missing."""
    for _ in range(times):
        file = draw.choice(files(name, base))
        data = bytearray((base / file).read_bytes())
        at = draw.randrange(
            min(len(data), 2500) if file.suffix == ".safetensors" and draw.random() < 0.7 else len(data)
        )
        kind = draw.randrange(3)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at] = (data[at] + draw.randrange(1, 256)) % 256
        else:
            del data[at:]
        yield file, bytes(data), f"{('flip', 'byte', 'cut')[kind]} at {at}"


def trial(name: str, base: Path, work: Path, file: Path, data: bytes) -> tuple[str, str]:
    """What a command makes of a changed file: sentence, equal, silent, traceback."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    (work / file).write_bytes(data)
    code, out, err = run(name, work)
    if code not in (0, 1, 2):
        return "traceback", str(code)
    if code:
        said = err if code == 2 else out
        return ("sentence", said) if said.strip() and len(said) < 4000 else ("traceback", f"no sentence: {said!r}")
    return "done", out


def wrong(name: str, base: Path, work: Path, draw: random.Random, times: int) -> Iterator[str]:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    assert run(name, work)[0] == 0
    expected = results(work)
    for file, data, what in flips(name, base, draw, times):
        outcome, words = trial(name, base, work, file, data)
        if outcome == "traceback":
            yield f"{file}, {what}: {words}"
        elif outcome == "done":
            differing = [key for key, value in results(work).items() if expected.get(key) != value]
            if [key for key in differing if key != file.as_posix()]:
                yield f"{file}, {what}: passes in silence and changes {differing}"


@pytest.mark.parametrize("name", ACTIONS)
def test_flips_are_noticed(name: str, base: Path, tmp_path: Path) -> None:
    assert list(wrong(name, base, tmp_path / "work", random.Random(f"flips {name}"), 3)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIONS)
def test_many_flips_are_noticed(name: str, base: Path, tmp_path: Path) -> None:
    assert list(wrong(name, base, tmp_path / "work", random.Random(f"many flips {name}"), 30)) == []


# ------------------------------------------------------------------------------------------------ written by hand


def places(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    inner = (
        content.items() if isinstance(content, dict) else enumerate(content[:2]) if isinstance(content, list) else ()
    )
    for key, value in inner:
        yield from places(value, (*before, key))


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Content with another value at a place; the place taken away for KeyError; sealed as before."""
    content = copy.deepcopy(content)
    if not place:
        return value
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    if isinstance(content, dict) and "sha256" in content:
        return sealed(content)
    if isinstance(content, list):
        return [sealed(part) if isinstance(part, dict) else part for part in content]
    return content


def by_hand(name: str, base: Path, draw: random.Random, times: int) -> Iterator[tuple[Path, bytes, str]]:
    for _ in range(times):
        file = draw.choice(files(name, base))
        data = (base / file).read_bytes()
        if draw.random() < 0.4 or file.suffix == ".jsonl":
            content = draw.choice(WHOLE)
            yield file, content, repr(content[:40])
            continue
        if file.suffix == ".safetensors":
            from safetensors import safe_open
            from safetensors.torch import load_file, save

            from reasoning.records.checkpoints import _digest

            tensors = load_file(base / file)
            with safe_open(base / file, framework="pt") as opened:
                state = json.loads(json.loads(opened.metadata()["run"])["state"])
            place, value = draw.choice(list(places(state))), draw.choice((*ODD, KeyError))
            text = json.dumps(changed(state, place, value if place or value is not KeyError else {}))
            header = draw.choice(
                (json.dumps({"sha256": _digest(tensors, text), "state": text}), "[]", "3", "[" * 50_000)
            )
            yield file, save(tensors, metadata={"run": header}), f"{place} {value!r} {header[:20]}"
            continue
        content = yaml.safe_load(data) if file.suffix == ".yaml" else json.loads(data)
        place, value = draw.choice(list(places(content))), draw.choice((*ODD, KeyError))
        try:
            made = changed(content, place, value if place or value is not KeyError else {})
            text = yaml.safe_dump(made) if file.suffix == ".yaml" else json.dumps(made)
        except (ValueError, OverflowError):  # Python itself refuses to write it
            continue
        yield file, text.encode(errors="replace"), f"{place} = {str(value)[:40]}"


def trust(work: Path, file: Path, data: bytes) -> None:
    """Let run.json vouch for a file."""
    record = work / file.parent / "run.json"
    if file.name != "run.json" and record.is_file():
        content = json.loads(record.read_bytes())
        if file.name in content.get("files", {}):
            content["files"][file.name] = hashlib.sha256(data).hexdigest()
            record.write_text(json.dumps(sealed(content)))


def broken(name: str, base: Path, work: Path, draw: random.Random, times: int) -> Iterator[str]:
    for file, data, what in by_hand(name, base, draw, times):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(base, work)
        (work / file).write_bytes(data)
        trust(work, file, data)
        code, out, err = run(name, work)
        if (
            code not in (0, 1, 2)
            or (code == 2 and not 0 < len(err.split("error:")[-1]) < 3000)
            or (code == 1 and not out)
        ):
            yield f"{file}, {what}: {code} {err[-200:]}"


@pytest.mark.parametrize("name", ACTIONS)
def test_contents_of_another_form_are_sentences(name: str, base: Path, tmp_path: Path) -> None:
    assert list(broken(name, base, tmp_path / "work", random.Random(f"hand {name}"), 4)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIONS)
def test_many_contents_of_another_form(name: str, base: Path, tmp_path: Path) -> None:
    assert list(broken(name, base, tmp_path / "work", random.Random(f"many hand {name}"), 40)) == []


def test_a_silent_pass_is_found(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotaged: no record is compared with its checksum."""
    from factorizers import screen

    monkeypatch.setattr(screen.vsa.commands.files, "unsealed", lambda content, source: content)
    found = wrong("capacity", base, tmp_path / "work", random.Random("capacity"), 40)
    assert any("passes in silence" in fault for fault in found)
