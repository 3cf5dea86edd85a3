# Every command of the README. The environment is made once, and again when its inputs change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SEED ?= 0

.PHONY: help demo test quick weights clean

help:
	@echo "make demo    from a fresh clone to videos: install, eight prompts, each clip judged (demo/sheet.png)"
	@echo "make test    install, lint, test"
	@echo "make quick   train everything from scratch in five minutes on two cores (runs/quick)"
	@echo "make weights make quick, and ship what it made as mini_sora/weights/quick"
	@echo "make clean   remove what these commands made"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python -m mini_sora generate --force -o demo \
		"a red circle moves left" "a blue square moves right" "a green triangle rises" \
		"the square is orange and sinks" "a white triangle stays still" \
		"there is one cyan circle that climbs" "a video of a yellow block; it drifts leftwards" \
		"one magenta disc descends"

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

quick: $(READY)
	$(BIN)/python -m mini_sora train --preset quick --out runs/quick --seed $(SEED) --force

weights: quick
	rm -rf mini_sora/weights/quick
	mkdir -p mini_sora/weights
	cp -r runs/quick/model mini_sora/weights/quick
	cp runs/quick/config.json runs/quick/report.json mini_sora/weights/quick

clean:
	rm -rf .venv demo runs/quick .pytest_cache .ruff_cache .hypothesis *.egg-info
