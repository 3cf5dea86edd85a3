"""Where your functions are found. Put your code into other files if you like, and change this one to match."""

from a1 import bounce, centroid, direction, disc, facts, interval, velocity
