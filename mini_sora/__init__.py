"""Mini-Sora: a small, complete text-to-video model, from pixels to prompts, written to be read.

Letters of shapes, everywhere: B clips; T frames of H x W pixels; K = 1 + (T - 1) / 4 latent frames of h x w
cells, each of C channels; P tokens in a latent frame, N = K P in a clip, each D wide; L tokens of a prompt,
each D' wide; attention has heads of d numbers.
"""

from .captioner import Captioner
from .tasks import MiniSora
from .video import Video

__all__ = ["Captioner", "MiniSora", "Video"]
