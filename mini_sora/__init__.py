"""Mini-Sora: a small, complete text-to-video model, from pixels to prompts, written to be read."""

from .tasks import MiniSora
from .video import Video

__all__ = ["MiniSora", "Video"]
