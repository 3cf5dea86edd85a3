"""A world that we wrote, so that every claim about a film of it can be checked exactly."""

from .captions import describe, facts_of, parse, vocabulary
from .check import Report, check
from .clips import Batch, Clip, make_batch, make_clip
from .families import FAMILIES
from .observe import observe
from .scene import FPS, WorldError

__all__ = [
    "FAMILIES",
    "FPS",
    "Batch",
    "Clip",
    "Report",
    "WorldError",
    "check",
    "describe",
    "facts_of",
    "make_batch",
    "make_clip",
    "observe",
    "parse",
    "vocabulary",
]
