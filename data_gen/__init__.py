"""A world that we wrote, so that every claim about a film of it can be checked exactly."""

from .captions import describe, facts_of, parse
from .check import Report, check, compare
from .clips import Batch, Clip, code_digest, make_batch, make_captions, make_clip
from .families import FAMILIES
from .moves import displacements
from .observe import observe
from .persist import apparitions
from .scene import FPS, WorldError

__all__ = [
    "FAMILIES",
    "FPS",
    "Batch",
    "Clip",
    "Report",
    "WorldError",
    "apparitions",
    "check",
    "code_digest",
    "compare",
    "describe",
    "displacements",
    "facts_of",
    "make_batch",
    "make_captions",
    "make_clip",
    "observe",
    "parse",
]
