"""Writes puzzles in the npz + xml form of the published data sets, as their readers expect it.

The xml is one line without a declaration, attributes in the order of the alphabet; an entity's mask and boxes depend on
little, so their text is made once per process.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.commands.files import WriteError, checksum, write_whole
from vsa.errors import VSAError

from ..arrays import CANDIDATES, GOVERNED, MODIFIABLE, RULE_SLOTS, PuzzleArrays
from ..constellations import CONSTELLATIONS
from ..data_sets import data_set
from ..pixels.drawing import real_box, run_lengths
from ..pixels.render import entity_codes, prepare, split_code, sprites_of
from ..rules.base import rule_name
from .images import images_of
from .npz import IMAGE_SHAPE, META_STRUCTURE, file_stem, image_header, meta_matrices, npy_bytes, structure_of

__all__ = ["npz_bytes", "npz_hash", "write_hashed", "write_raven", "xml_texts"]

_NAME, _CHECKSUM = 30, 14  # where a member's local header has them
_CHUNK = 64  # puzzles whose images are held at a time


@functools.cache
def _entity_tail(constellation: str, component: int, slot: int, type_: int, size: int, angle: int) -> str:
    box = CONSTELLATIONS[constellation].components[component].boxes[slot]
    mask = run_lengths(sprites_of(constellation)[component][slot].mask(type_, size, angle))
    real = json.dumps(real_box(box, type_, size, angle))
    return f'Size="{size}" Type="{type_}" bbox="{json.dumps(box)}" mask="{mask}" real_bbox="{real}" />'


def _entity(constellation: str, component: int, slot: int, code: int) -> str:
    type_, size, color, angle = split_code(code)
    tail = _entity_tail(constellation, component, slot, type_, size, angle)
    return f'<Entity Angle="{angle}" Color="{color}" {tail}'


def xml_texts(arrays: PuzzleArrays) -> list[str]:
    """The xml files of puzzles.

    Args:
        arrays: N puzzles; entities are written in the order of their slots.

    Returns:
        N texts. Which attributes of a candidate were changed is written where it is known, but not for RAVEN, whose
        files have no place for it.

    Raises:
        VSAError: the uniformity is unknown, or the puzzles can't be drawn.
    """
    prepare(arrays)
    known = CONSTELLATIONS[arrays.constellation]
    parts = []
    for c, (component, layout) in enumerate(zip(arrays.components, known.components, strict=True)):
        if component.uniformity is None:
            raise VSAError(
                "write xml",
                received="puzzles without uniformity",
                expected="a level for every panel",
                hint="puzzles read from JSON do not have it: write them as JSON",
            )
        codes = entity_codes(component)
        seen: list[dict[int, str]] = [{} for _ in range(layout.slots)]
        boxes = json.dumps(layout.boxes)
        head = f'<Component id="{c}" name="{layout.name}"><Layout Number="'
        rest = f'" name="{layout.layout}">'
        components = []
        for puzzle, levels in zip(codes.tolist(), component.uniformity.tolist(), strict=True):
            texts = []
            for slots, level in zip(puzzle, levels, strict=True):
                entities = []
                for s, code in enumerate(slots):
                    if code < 0:
                        continue
                    if code not in seen[s]:
                        seen[s][code] = _entity(arrays.constellation, c, s, code)
                    entities.append(seen[s][code])
                texts.append(
                    f'{head}{len(entities) - 1}" Position="{boxes}" Uniformity="{level}{rest}{"".join(entities)}'
                    "</Layout></Component>"
                )
            components.append(texts)
        parts.append(components)
    before, after = f'<Panel><Struct name="{known.structure}">', "</Struct></Panel>"
    files = []
    for i in range(len(arrays)):
        panels = "".join(before + "".join(panel) + after for panel in zip(*(part[i] for part in parts), strict=True))
        files.append(f"<Data><Panels>{panels}</Panels>{_rules(arrays, i)}{_modified(arrays, i)}</Data>")
    return files


def _rules(arrays: PuzzleArrays, i: int) -> str:
    groups = []
    for c, component in enumerate(arrays.components):
        names = (GOVERNED[component.governed[i]], *RULE_SLOTS[1:])
        rules = "".join(
            f'<Rule attr="{name}" name="{rule_name(rule)}" />'
            for name, rule in zip(names, component.rules[i].tolist(), strict=True)
        )
        groups.append(f'<Rule_Group id="{c}">{rules}</Rule_Group>')
    return f"<Rules>{''.join(groups)}</Rules>"


def _modified(arrays: PuzzleArrays, i: int) -> str:
    if arrays.modified is None or not data_set(arrays.dataset).marked:
        return ""
    candidates = []
    for k in range(CANDIDATES):
        changed = "".join(
            f'<Attribute component_id="{c}" name="{MODIFIABLE[m]}" />' for c, m in np.argwhere(arrays.modified[i, k])
        )
        candidates.append(f'<Candidate id="{k}">{changed}</Candidate>' if changed else f'<Candidate id="{k}" />')
    return f"<Modified_attributes>{''.join(candidates)}</Modified_attributes>"


def npz_bytes(arrays: PuzzleArrays, images: NDArray[Any] | None) -> list[bytes]:
    """The npz files of puzzles; the same puzzles give the same bytes.

    ``predict`` is the target: the rules of a puzzle single its answer out, and the original generator's solver found it
    in all 17,500 reference puzzles.

    Args:
        arrays: N puzzles.
        images: uint8 (N, 16, 160, 160), or None to leave the member out.

    Returns:
        N files.
    """
    structure = structure_of(arrays.constellation)
    meta_structure = np.array([name in structure for name in META_STRUCTURE], dtype=np.uint8)
    common = {
        "meta_structure": npy_bytes(meta_structure),
        "structure": npy_bytes(np.array([t.encode() for t in structure])),
    }
    header = image_header()
    targets = [npy_bytes(np.array(t, dtype=np.int64)) for t in range(CANDIDATES)]
    files = []
    for i, matrix in enumerate(meta_matrices(arrays)):
        target = targets[int(arrays.target[i])]
        members = {"target": target, "predict": target}
        if images is not None:
            members["image"] = header + images[i].tobytes()
        members["meta_matrix"] = npy_bytes(matrix)
        members["meta_structure"] = common["meta_structure"]
        members["meta_target"] = npy_bytes(np.bitwise_or.reduce(matrix))
        members["structure"] = common["structure"]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data)  # dated 1980: the bytes depend on nothing else
        files.append(buffer.getvalue())
    return files


def npz_hash(data: bytes, *, verify: bool = False) -> str:
    """A hash of a file of :func:`npz_bytes` that costs little: the image counts by its checksum in the zip's headers.

    Args:
        data: the file.
        verify: whether the image is compared with that checksum, which is for whoever reads the file.

    Returns:
        64 hexadecimal digits; other ones where the image is not that of the checksum.
    """
    name, header = data.find(b"image.npy"), image_header()
    first = data.find(header, name)
    if name < _NAME - _CHECKSUM or first < name:
        return checksum(data)
    start = first + len(header)
    stop = start + math.prod(IMAGE_SHAPE)
    found = hashlib.sha256(data[:start] + data[stop:])
    held = data[name - _NAME + _CHECKSUM :][:4]  # of the member's local header
    if verify and zlib.crc32(data[first:stop]) != int.from_bytes(held, "little"):
        found.update(b"another image")
    return found.hexdigest()


def write_raven(
    arrays: PuzzleArrays, folder: str | PathLike[str], *, images: bool = True, overwrite: bool = False
) -> list[Path]:
    """Writes ``RAVEN_<number>_<split>.{npz,xml}`` for each puzzle; the xml, written last, says that the pair is whole.

    Args:
        arrays: the puzzles.
        folder: of the constellation; made if need be.
        images: whether the npz holds the image (411 kB) or only what else it has. Puzzles read from files with
            pixels keep those, others are drawn.
        overwrite: whether existing files may be replaced.

    Returns:
        The files, npz and xml in turn.

    Raises:
        VSAError: a file exists or can't be written, or the puzzles have no such form.
    """
    return list(write_hashed(arrays, Path(folder), images=images, overwrite=overwrite))


def write_hashed(arrays: PuzzleArrays, folder: Path, *, images: bool, overwrite: bool) -> dict[Path, str]:
    """As :func:`write_raven`, with the hashes of what is written.

    Args:
        arrays: the puzzles.
        folder: of the constellation; made if need be.
        images: whether the npz holds the image.
        overwrite: whether existing files may be replaced.

    Returns:
        The files, npz and xml in turn, with :func:`datasets.files.npz.npz_hash` or SHA-256.

    Raises:
        VSAError: as :func:`write_raven`.
    """
    written: dict[Path, str] = {}
    paths = [folder / f"{file_stem(int(k))}{suffix}" for k in arrays.index for suffix in (".npz", ".xml")]
    present = [] if overwrite else [path for path in paths if path.exists()]
    if present:
        raise VSAError(
            f"write {present[0]}", received="a file that exists", expected="a new name", hint="or overwrite=True"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        prepare(arrays)
        for start in range(0, len(arrays), _CHUNK):
            part = arrays[start : start + _CHUNK]
            packed, texts = npz_bytes(part, images_of(part) if images else None), xml_texts(part)
            for k, (data, text) in enumerate(zip(packed, texts, strict=True)):
                for path, content in zip(paths[2 * (start + k) :][:2], (data, text.encode("ascii")), strict=True):
                    write_whole(path, content, durable=False)  # the manifest vouches for thousands of files
                    written[path] = npz_hash(content) if path.suffix == ".npz" else checksum(content)
    except WriteError:
        raise
    except OSError as error:
        raise VSAError(
            f"write {folder}",
            received=error.strerror or repr(error),
            expected="a folder with free space that may be written",
            hint="choose another folder",
        ) from error
    return written
