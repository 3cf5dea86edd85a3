"""The scene families. Each has the same seven names: `sample` draws a scene, `render` films it, `truth`
says where everything is, `facts` what a long caption tells, `tell` writes captions by the rules of
`GRAMMAR`, and `see` finds the facts in a video, and what is wrong with it. Flat ones also have
`sprites`, what is drawn of a scene from back to front.
"""

from . import bounce, camera, change, occlusion, play, shapes, simple
from .phyworld import COLLISION, PARABOLA, UNIFORM

FAMILIES = {
    "shapes-simple": simple,
    "shapes": shapes,
    "bounce": bounce,
    "occlusion": occlusion,
    "camera": camera,
    "change": change,
    "play": play,
    "bounce-uniform": UNIFORM,
    "bounce-collision": COLLISION,
    "bounce-parabola": PARABOLA,
}
NUMBERS = {name: number for number, name in enumerate(FAMILIES)}  # in the seeds of random streams
