import json
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest

from mini_sora import bench
from mini_sora.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_each_row_is_trained_as_it_says(name, monkeypatch):
    """With the training itself left out."""
    asked, config = [], PRESETS[name]

    def fit(network, loss, data, how, out, quiet):
        asked.append((loss.dit.fit, how))
        rows = [{"loss": 1.0, "seconds": 2.0, "waited": 0.5}] * how.steps
        (Path(out) / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))

    monkeypatch.setattr(bench, "fit", fit)
    monkeypatch.setattr(bench, "dit_objective", lambda config, *_: config)
    monkeypatch.setattr(bench, "to_latents", lambda *_: None)
    monkeypatch.setattr(bench, "untrained", lambda *_: Mock())
    monkeypatch.setattr(bench, "Stored", lambda *_: MagicMock())
    rows = bench.training(config)
    assert all(loss == how for loss, how in asked) and len(rows) == len(asked) > 5
    assert {waited for _, _, waited, _ in rows} == {0.25}
