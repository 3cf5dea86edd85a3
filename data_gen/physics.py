"""Balls that fly, bounce and collide: event-driven, and exact between events.

A ball moves on a parabola, p + v t + a t^2 / 2, until it meets a wall or another ball; the time of
that meeting is the root of a polynomial, not the end of a small step. So nothing tunnels, and
energy and momentum are kept to rounding. A ball's mass is its area.
"""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np

from .scene import Event, WorldError

REST = 0.06  # a bounce that leaves less normal speed than this leaves none, short sides per second
TOUCH = 1e-12  # balls that close more slowly than this do not meet
CROWD = 500  # meetings a second that no scene but a pile has
SIDES = (("left wall", "right wall"), ("ceiling", "floor"))


@dataclass(frozen=True)
class Flight:
    """Where n balls are from a time on, until the next flight: lists of (x, y)."""

    time: float
    place: list
    velocity: list
    pull: list  # acceleration


def _time_to(gap, speed, pull):
    """When a wall at a distance, approached at a speed that a pull changes, is met; inf for never."""
    root = speed * speed + 2 * pull * gap
    if root < 0 or (speed <= 0 and pull <= 0):
        return np.inf
    return 2 * gap / (speed + sqrt(root)) if speed > 0 else (sqrt(root) - speed) / pull


def _time_between(place, velocity, pull, reach):
    """When two balls, apart by `place` and so moving to each other, are at the distance `reach`."""
    (x, y), (u, v), (a, b) = place, velocity, pull
    if a or b:  # one rests while the other flies
        apart = [(a * a + b * b) / 4, a * u + b * v, u * u + v * v + a * x + b * y, 2 * (x * u + y * v)]
        apart.append(x * x + y * y - reach * reach)
        roots = np.roots(apart)
        roots = roots[np.abs(roots.imag) < 1e-9].real
        closing = np.polyval(np.polyder(apart), roots) < -TOUCH
        return min((float(t) for t, c in zip(roots, closing, strict=True) if c and t > -1e-9), default=np.inf)
    closing = -(x * u + y * v)
    gap = x * x + y * y - reach * reach
    root = closing * closing - (u * u + v * v) * gap
    return gap / (closing + sqrt(root)) if closing > TOUCH and root > 0 else np.inf


def simulate(places, velocities, radii, seconds, window=None, gravity=0.0, restitution=1.0, go_on=None):
    """Let balls fly: (flights, events), events as (time, what, i, j or a name of SIDES).

    places, velocities: n pairs, short sides and short sides per second; radii: n; window: (height,
    width) of the walls around them, or None; gravity: downwards; restitution: the share of normal
    speed that any bounce leaves, 0 to 1; go_on: asked after each event, with all flights and events
    so far, whether to. Raises WorldError where balls come to lie on one another,
    which inelastic balls under gravity do: their bounces have no end.
    """
    place, velocity = [tuple(map(float, p)) for p in places], [tuple(map(float, v)) for v in velocities]
    n, now, events = len(place), 0.0, []
    pull = [(0.0, float(gravity))] * n
    flights = [Flight(now, place, velocity, pull)]
    bounds = window and ((0.0, window[1]), (0.0, window[0]))
    while True:
        first = (np.inf, None, None)
        for i in range(n):
            for axis in (0, 1) if bounds else ():
                at, speed, force = place[i][axis], velocity[i][axis], pull[i][axis]
                low = max(at - radii[i] - bounds[axis][0], 0.0), -speed, -force
                high = max(bounds[axis][1] - radii[i] - at, 0.0), speed, force
                first = min(first, (_time_to(*low), i, (axis, 0)), (_time_to(*high), i, (axis, 1)), key=_when)
            for j in range(i):
                apart, meet, force = ((q[i][0] - q[j][0], q[i][1] - q[j][1]) for q in (place, velocity, pull))
                first = min(first, (_time_between(apart, meet, force, radii[i] + radii[j]), j, i), key=_when)
        wait, i, other = first
        if now + wait > seconds:
            return flights, events
        now += wait
        place = [
            tuple(p[k] + v[k] * wait + a[k] * wait * wait / 2 for k in (0, 1))
            for p, v, a in zip(place, velocity, pull, strict=True)
        ]
        velocity = [tuple(v[k] + a[k] * wait for k in (0, 1)) for v, a in zip(velocity, pull, strict=True)]
        pull = list(pull)
        if isinstance(other, tuple):
            axis, side = other
            after = [*velocity[i]]
            after[axis] *= -restitution
            if gravity and restitution < 1 and (axis, side) == (1, 1) and abs(after[1]) < REST:
                after[1], pull[i] = 0.0, (0.0, 0.0)
            velocity[i] = tuple(after)
            events.append((now, "hits", i, SIDES[axis][side]))
        else:
            _collide(place, velocity, radii, i, other, restitution)
            for k in (i, other):
                pull[k] = (0.0, float(gravity))
            events.append((now, "meets", i, other))
        flights.append(Flight(now, place, velocity, pull))
        if go_on and not go_on(flights, events):
            return flights, events
        if len(events) > CROWD * (seconds + 1):
            raise WorldError("the balls come to lie on one another, which is beyond this physics")


def _when(meeting):
    return meeting[0]


def _collide(place, velocity, radii, i, j, restitution):
    """Exchange momentum along the line of centres; masses are areas."""
    nx, ny = place[j][0] - place[i][0], place[j][1] - place[i][1]
    apart = hypot(nx, ny)
    nx, ny = nx / apart, ny / apart
    closing = (velocity[i][0] - velocity[j][0]) * nx + (velocity[i][1] - velocity[j][1]) * ny
    mi, mj = radii[i] ** 2, radii[j] ** 2
    push = (1 + restitution) * closing * mi * mj / (mi + mj)
    velocity[i] = (velocity[i][0] - push / mi * nx, velocity[i][1] - push / mi * ny)
    velocity[j] = (velocity[j][0] + push / mj * nx, velocity[j][1] + push / mj * ny)


def trajectory(flights, times):
    """Places and velocities at times (T,), seconds, in rising order: (n, T, 2) each."""
    starts = np.array([flight.time for flight in flights])
    which = np.searchsorted(starts, times, side="right") - 1
    place, velocity, pull = (
        np.array([getattr(flight, name) for flight in flights])[which].transpose(1, 0, 2)
        for name in ("place", "velocity", "pull")
    )
    t = (np.asarray(times) - starts[which])[:, None]
    return place + velocity * t + pull * t * t / 2, velocity + pull * t


def energy(place, velocity, radii, gravity=0.0):
    """Kinetic and potential energy, masses as areas over pi: (...,) for places and velocities (n, ..., 2)."""
    mass = np.asarray(radii)[(slice(None), *[None] * (np.ndim(place) - 2))] ** 2
    return (mass * ((velocity**2).sum(-1) / 2 - gravity * place[..., 1])).sum(0)


def film_events(events, colors):
    """Events of a simulation as those of a scene."""
    return tuple(
        Event(time, what, colors[i], colors[j] if what == "meets" else j) for time, what, i, j in events
    )
