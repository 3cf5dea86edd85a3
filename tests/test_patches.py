import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_sora.patches import coordinates, patchify, unpatchify

side = st.integers(1, 4)


@settings(max_examples=50, deadline=None)
@given(st.tuples(side, side, side), st.tuples(side, side, side), st.integers(1, 3), st.integers(1, 5))
def test_round_trip_on_any_grid(counts, patch, batch, channels):
    grid = tuple(n * p for n, p in zip(counts, patch, strict=True))
    z = torch.arange(batch * channels * grid[0] * grid[1] * grid[2], dtype=torch.float32)
    z = z.reshape(batch, channels, *grid)
    tokens = patchify(z, patch)
    assert tokens.shape == (
        batch,
        counts[0] * counts[1] * counts[2],
        channels * patch[0] * patch[1] * patch[2],
    )
    assert torch.equal(unpatchify(tokens, patch, grid), z)


def test_a_token_holds_its_own_cells_in_reading_order():
    z = torch.arange(2 * 3 * 4 * 6).reshape(1, 2, 3, 4, 6)
    tokens = patchify(z, (1, 2, 3))
    assert torch.equal(tokens[0, 3], z[0, :, 0, 2:4, 3:6].flatten())
    assert torch.equal(tokens[0, 4], z[0, :, 1, 0:2, 0:3].flatten())


def test_coordinates_are_the_centres_of_the_cells():
    grid = (3, 4, 6)
    rows = torch.arange(4.0) - 1.5
    columns = torch.arange(6.0) - 2.5
    cells = torch.cartesian_prod(torch.arange(3.0), rows, columns).T.reshape(1, 3, *grid)
    means = patchify(cells, (1, 2, 3)).reshape(-1, 3, 6).mean(-1)
    torch.testing.assert_close(coordinates((1, 2, 3), grid), means)


def test_coordinates_of_another_aspect_keep_the_middle():
    for grid in ((5, 8, 8), (5, 8, 14), (1, 6, 10)):
        torch.testing.assert_close(coordinates((1, 2, 2), grid)[:, 1:].mean(0), torch.zeros(2))


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="5x7x8"):
        patchify(torch.zeros(1, 2, 5, 7, 8), (1, 2, 2))
