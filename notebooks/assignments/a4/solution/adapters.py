"""Where your functions are found. Put your code into other files if you like, and change this one to match."""

from a4 import (
    add_noise,
    alpha_sigma,
    ddim_step,
    ddpm_step,
    euler_step,
    guess_from_velocity,
    guided,
    loss,
    sample,
    velocity,
)
