"""Every setting of a run in one table, and the presets: quick, simple, smoke, tiny (-gpu), small, base, and
those of the captioner."""

from dataclasses import dataclass, replace

from .captioner import CaptionerConfig
from .config import check_numbers, require
from .data import FAMILY_NAMES, DataConfig
from .diffusion import TimeSampling
from .dit import DiTConfig
from .fit import FitConfig
from .model import ModelConfig, SamplerConfig
from .prompts import WriterConfig
from .text import TextConfig
from .vae import VAEConfig

WORLD = ("shapes", "bounce", "occlusion", "camera", "change", "play")


@dataclass(frozen=True)
class VAETraining:
    """families: what is shown, each as often, the model's own where empty; frames: length of the stretches
    that a batch is made of; stored: batches that are kept and shown again, 0: every batch is new; shown:
    about how often each is shown while new ones are made, 0: all are made before training begins;
    kl_weight, body_weight: see vae_loss."""

    families: tuple[str, ...] = ()
    frames: int = 9
    stored: int = 512
    shown: int = 0
    kl_weight: float = 3e-4
    body_weight: float = 8.0
    fit: FitConfig = FitConfig(steps=900, batch=8, adam_rate=3e-3, muon_rate=0.02, preview_every=900)

    def __post_init__(self):
        check_numbers(self, frames=(1, 4801), kl_weight=(0, 1e3), body_weight=(0, 1e3))
        require(self.stored or not self.shown, f"shown is {self.shown}; set stored, too: how many are kept")


@dataclass(frozen=True)
class DiTTraining:
    """drop_prompt: how often the prompt is left out, for guidance, and how often the actions are,
    which then have to be guessed; time: how t is drawn;
    own_times: the share of clips in which each latent frame has a noise time of its own (Chen et
    al. 2024, Diffusion Forcing): the clear frames teach what the noisy ones have to agree with;
    known: the share of clips with known frames; history: in half of those they have a little noise, at a
    time drawn from 0 to this, so that a rollout can go on from frames that are not perfect;
    course: a curriculum (Bengio et al. 2009): for so many steps single bodies alone with short prompts,
    then for so many all families, both as squares of the model's own length and short side, and then
    everything; stored: batches of each of these, kept encoded; shown: how often each (see VAETraining)."""

    drop_prompt: float = 0.1
    own_times: float = 0.5
    known: float = 0.0
    history: float = 0.1
    course: tuple[int, int] = (0, 0)
    stored: int = 256
    shown: int = 0
    time: TimeSampling = TimeSampling("logit-normal", 1.0)
    fit: FitConfig = FitConfig(steps=1300, batch=32, adam_rate=4e-3, muon_rate=0.03, preview_every=650)

    def __post_init__(self):
        check_numbers(self, drop_prompt=(0, 1), own_times=(0, 1), known=(0, 1), history=(0, 1))
        require(self.stored or not self.shown, f"shown is {self.shown}; set stored, too: how many are kept")


@dataclass(frozen=True)
class ExpanderTraining:
    """Of the expander, if the model has one: it learns from pairs of captions, when the text encoder, which
    reads for it, is done. families: whose captions, each as often; not shapes-simple, whose are all short."""

    families: tuple[str, ...] = WORLD
    fit: FitConfig = FitConfig(
        steps=2000, batch=64, adam_rate=3e-3, muon_rate=0.02, ema=0.995, preview_every=1000
    )

    def __post_init__(self):
        unknown = set(self.families) - set(WORLD)
        require(self.families and not unknown, f"expander.families is {self.families}; some of {WORLD}")
        require(self.fit.batch <= 4096, f"expander.fit.batch is {self.fit.batch}; 4096 at most")
        require(not self.fit.graphs, "expander.fit.graphs is of no use, as no two batches have one shape")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run: the grids, the model, and its trainings. A batch is so many
    clips of the model's own size and length, or as many tokens of another. start: a shipped preset, or the
    directory of a run, whose VAE is kept and whose text encoder and DiT learn on; none: from scratch; judged:
    clips of each row of its report; seed: of all that is drawn."""

    start: str = ""
    judged: int = 256
    seed: int = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    vae: VAETraining = VAETraining()
    dit: DiTTraining = DiTTraining()
    expander: ExpanderTraining = ExpanderTraining()

    @property
    def trained(self):
        """The names of the networks that learn; the VAE of a started run stays as it was."""
        learns = {"vae": not self.start, "dit": self.dit.fit.steps, "expander": self.expands}
        return [name for name, its in learns.items() if its]

    @property
    def expands(self):
        """Whether an expander is trained: not by a folder's captions, of one wording each."""
        return bool(self.model.expander.layers) and not self.data.folder

    def __post_init__(self):
        check_numbers(self, judged=(1, 10_000), seed=(0, 2**20))
        self.model.latent_shape(self.model.size, self.vae.frames)
        for frames in self.data.frames:
            for side in self.data.sides:
                for other in range(side, self.data.other_side(side) + 1, 8):
                    self.model.latent_shape((side, other), frames)
        unknown = set(self.vae.families) - set(self.model.families)
        require(not unknown, f"vae.families has {', '.join(unknown)}, which model.families lacks")
        for name, how in (("vae", self.vae), ("expander", self.expander)):
            require(how.fit.steps, f"{name}.fit.steps is 0; it is 1 or more")
        fine = self.dit.fit.steps or (self.start and self.expands)
        require(fine, "dit.fit.steps is 0; it is 1 or more, but where a started model gets an expander alone")
        fine = not self.expands or self.start or self.data.long_prompts
        require(fine, "an expander writes long prompts, which the DiT has to know; set data.long_prompts")
        largest = max(self.vae.fit.batch, self.dit.fit.batch)
        fine = self.data.folder or self.data.most >= largest
        require(fine, f"data.most is {self.data.most}, less than a batch of {largest}; set it, too")
        alone, plain = self.dit.course
        left = self.dit.fit.steps - alone - plain
        advice = "shorten it, too, as in --dit.course 0x0"
        fine = self.data.folder or alone + plain == 0 or left > 0
        require(fine, f"dit.course leaves none of {self.dit.fit.steps} steps for all grids; {advice}")
        fine = self.data.folder or not alone or "shapes-simple" in self.model.families
        require(fine, f"dit.course begins with shapes-simple, which model.families lacks; {advice}")
        fine = min(self.model.size) >= 24
        require(fine, f"model.size is {self.model.size}; the world is drawn from 24 pixels upwards")


_QUICK = TrainConfig()
_SMOKE_FIT = FitConfig(steps=4, batch=4, warmup=1, save_every=2, preview_every=4)
PRESETS = {
    "quick": _QUICK,
    "simple": replace(
        _QUICK,
        start="quick",
        judged=64,
        data=DataConfig(
            sides=(24, *[32] * 5, 48, 64),
            frames=(1, 9, *[17] * 4, 25, *[33] * 3),
            wide=True,
            long_prompts=0.1,
        ),
        model=replace(_QUICK.model, versatile=True, sampling=SamplerConfig(sampler="euler")),
        dit=DiTTraining(
            known=0.4,
            fit=FitConfig(
                steps=4000, batch=32, adam_rate=2e-3, muon_rate=0.015, ema=0.995, preview_every=2000
            ),
        ),
    ),
    "smoke": TrainConfig(
        judged=4,
        data=DataConfig(long_prompts=0.5),
        model=ModelConfig(
            vae=VAEConfig(channels=4, frame_width=8, width=16),
            text=TextConfig(width=32, layers=1, merges=40, max_tokens=400),
            dit=DiTConfig(width=48, layers=2, heads=2),
            expander=WriterConfig(width=32, layers=1, heads=2),
            sampling=SamplerConfig(steps=4),
        ),
        vae=VAETraining(stored=4, fit=_SMOKE_FIT),
        dit=DiTTraining(stored=4, fit=_SMOKE_FIT),
        expander=ExpanderTraining(families=("shapes",), fit=_SMOKE_FIT),
    ),
    "tiny": TrainConfig(
        judged=32,
        data=DataConfig(
            sides=(24, 24, *[32] * 8, 48, 64),
            frames=(1, 1, 5, 9, *[17] * 6, 25, 33),
            wide=True,
            long_prompts=0.2,
            most=48,
        ),
        model=ModelConfig(
            vae=VAEConfig(channels=8, frame_width=64, frame_blocks=2, width=192, blocks=2),
            text=TextConfig(width=128, layers=2, merges=600),
            dit=DiTConfig(width=192, layers=6, heads=6, actions=5),
            expander=WriterConfig(width=96, layers=2),
            sampling=SamplerConfig(sampler="euler", steps=10, best_of=4),
            families=("shapes-simple", "shapes", "shapes", *WORLD),
            versatile=True,
        ),
        vae=VAETraining(
            families=(*WORLD, "camera", "change", "play", "shapes"),
            stored=2500,
            fit=FitConfig(steps=3600, batch=8, adam_rate=3e-3, muon_rate=0.02, ema=0.999, preview_every=1200),
        ),
        dit=DiTTraining(
            known=0.4,
            course=(600, 2400),
            stored=600,
            fit=FitConfig(
                steps=4000, batch=32, adam_rate=2.5e-3, muon_rate=0.02, ema=0.999, preview_every=2000
            ),
        ),
    ),
}
_TINY = PRESETS["tiny"]
PRESETS["tiny-gpu"] = replace(  # the same model, for ten minutes of a GPU beside 16 cores
    _TINY,
    data=replace(_TINY.data, most=1024),
    vae=replace(
        _TINY.vae, stored=1000, shown=6, fit=replace(_TINY.vae.fit, steps=3600, batch=192, workers=13)
    ),
    dit=replace(
        _TINY.dit,
        course=(300, 7300),
        stored=400,
        shown=14,
        fit=replace(
            _TINY.dit.fit, steps=8700, batch=512, decay=0.8, graphs=True, workers=13, save_every=4000
        ),
    ),
    expander=ExpanderTraining(fit=replace(_TINY.expander.fit, workers=8)),
)
PRESETS["small"] = replace(
    _TINY,
    judged=256,
    data=replace(_TINY.data, sides=(48, 64, 64, 64, 96), most=96),
    model=replace(
        _TINY.model,
        size=(64, 64),
        vae=VAEConfig(channels=8, frame_width=96, width=256, blocks=4),
        text=TextConfig(width=256, layers=4, merges=600, heads=8),
        dit=DiTConfig(width=384, layers=12, heads=6, actions=5),
        expander=WriterConfig(layers=3),
        sampling=SamplerConfig(sampler="euler"),  # one of each, as the captioner knows smaller videos
    ),
    vae=replace(_TINY.vae, stored=0, fit=replace(_TINY.vae.fit, steps=30_000, batch=32, workers=8)),
    dit=replace(
        _TINY.dit,
        course=(1500, 3500),
        stored=0,
        fit=replace(_TINY.dit.fit, steps=30_000, batch=64, workers=12),
    ),
    expander=ExpanderTraining(fit=replace(_TINY.expander.fit, workers=8)),
)
PRESETS["base"] = replace(
    PRESETS["small"],
    data=replace(PRESETS["small"].data, sides=(96, 128, 128, 128, 160)),
    model=replace(
        PRESETS["small"].model,
        size=(128, 128),
        text=TextConfig(width=512, layers=6, merges=600, heads=8),
        dit=DiTConfig(width=768, layers=12, heads=12, actions=5),
    ),
)


@dataclass(frozen=True)
class Captioning:
    """The training of the captioner's network. course: who is where is learned from few words of few bodies
    first: for so many steps pictures of single bodies, squares of the model's own size, then of several, then
    clips of single bodies, then of several, all with short captions, and then everything; single: the family
    whose scenes have one body, several: the one whose have more; stored, shown: see VAETraining."""

    course: tuple[int, int, int, int] = (450, 2500, 600, 2900)
    single: str = "shapes-simple"
    several: str = "shapes"
    stored: int = 400
    shown: int = 3
    fit: FitConfig = FitConfig(
        steps=11_000, batch=32, adam_rate=1e-3, muon_rate=0.005, decay=0.4, ema=0.998, preview_every=1000
    )

    def __post_init__(self):
        check_numbers(self)
        left = self.fit.steps - sum(self.course)
        advice = "shorten it, too, as in --network.course 0x0x0x0"
        require(left > 0, f"network.course leaves none of {self.fit.steps} steps for everything; {advice}")
        require(self.stored or not self.shown, f"shown is {self.shown}; set stored, too: how many are kept")
        for name in (self.single, self.several):
            require(name in FAMILY_NAMES, f"there is no family {name!r}; there is: {', '.join(FAMILY_NAMES)}")
        require(not self.fit.graphs, "network.fit.graphs is of no use, as captions have many lengths")


@dataclass(frozen=True)
class CaptionerTraining:
    """Everything that decides a captioner. A batch is so many clips of the model's own size and length, or as
    many tokens of another. start: a shipped captioner, or the directory of a run, to learn on from; none:
    from scratch; judged: clips of each row of its report; seed: of all that is drawn."""

    start: str = ""
    judged: int = 256
    seed: int = 0
    data: DataConfig = DataConfig(
        sides=(24, *[32] * 6, 48, 64),
        frames=(1, 1, 5, 9, *[17] * 6, 25, 33),
        wide=True,
        squares=3,
        long_prompts=0.7,
        most=80,
    )
    model: CaptionerConfig = CaptionerConfig(families=("shapes-simple", "shapes", "shapes", *WORLD))
    network: Captioning = Captioning()

    def __post_init__(self):
        check_numbers(self, judged=(1, 10_000), seed=(0, 2**20))
        fine = min(self.model.size) >= 24
        require(fine, f"model.size is {self.model.size}; the world is drawn from 24 pixels upwards")
        batch = self.network.fit.batch
        require(
            self.data.most >= batch,
            f"data.most is {self.data.most}, less than a batch of {batch}; set it, too",
        )
        require(not self.data.folder, "a captioner learns from the world, whose truth is known; omit --data")

    @property
    def trained(self):
        """The names of the networks that learn."""
        return ["network"]


CAPTIONERS = {
    "captioner": CaptionerTraining(),
    "captioner-smoke": CaptionerTraining(
        judged=4,
        data=DataConfig(long_prompts=0.5),
        model=CaptionerConfig(
            stem=VAEConfig(channels=4, frame_width=8, width=16),
            width=32,
            layers=1,
            heads=2,
            writer=WriterConfig(width=32, layers=1, heads=2, temperature=0.1),
            merges=100,
        ),
        network=Captioning(course=(1, 1, 1, 1), stored=4, shown=0, fit=replace(_SMOKE_FIT, steps=6)),
    ),
}
