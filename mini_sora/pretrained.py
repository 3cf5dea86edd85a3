"""Models by their names: where weights are, and whether they can be used here."""

from pathlib import Path

import torch

from . import checkpoint
from .config import UserError, require

WEIGHTS = Path(__file__).parent / "weights"
KINDS = {"config": "a model of videos", "captioner": "a captioner"}  # of model, by a key in its meta


def located(name):
    """Where a shipped preset is, or a model that train or save_pretrained left. Raises UserError."""
    places = [Path(name), Path(name) / "model", WEIGHTS / str(name)]
    found = [place for place in places if (place / "manifest.json").is_file()]
    begun = (places[0] / "config.json").is_file() and not {*places[:2]} & {*found}
    require(not begun, f"the run in {name} has no model yet; go on with train --resume")
    shipped = ", ".join(sorted(p.name for p in WEIGHTS.glob("*") if p.is_dir())) or "none"
    hint = f"give a directory that train made, or a shipped preset ({shipped})"
    require(found, f"there are no weights {str(name)!r}; {hint}")
    return found[0]


def load_pretrained(name, kind):
    """Weights by name: (tensors, meta, directory), see checkpoint.load. kind: of KINDS, what they must be
    of. Raises UserError."""
    place = located(name)
    try:
        tensors, meta = checkpoint.load(place)
    except UserError as error:
        again = "install Mini-Sora again" if place.parent == WEIGHTS else "train --resume makes a run's again"
        raise UserError(f"{error}; {again}") from None
    what = next((KINDS[key] for key in KINDS if key in meta), "a training checkpoint")
    require(kind in meta, f"{place} is {what}, not {KINDS[kind]}; give other weights")
    return tensors, meta, place


def is_captioner(name):
    """Whether these weights are a captioner's. Raises UserError where there are none."""
    return "captioner" in checkpoint.read_meta(located(name))


def check_device(device):
    """Raise UserError unless torch can compute on this device."""
    try:
        torch.zeros(1, device=device).cpu()  # which the device "meta" cannot do
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        absent = "cuda" in str(device) and not torch.cuda.is_available()
        reason = "there is no CUDA GPU here" if absent else str(error).splitlines()[0]
        require(False, f"the device {str(device)!r} cannot be used: {reason}; use --device cpu")
