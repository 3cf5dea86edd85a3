"""Where your functions are found. Put your code into other files if you like, and change this one to match."""

from a3 import DiTBlock, attention, coordinates, patchify, rotate, time_embedding, unpatchify
