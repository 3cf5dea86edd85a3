# The environment is made once, and again when its inputs change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SEED ?= 0
PRESET ?= tiny
DEVICE ?= cpu
RUN := $(PRESET)$(if $(filter tiny-cuda%,$(PRESET)-$(DEVICE)),-gpu)

.PHONY: help demo test quick weights bench sweep notebooks mutants student clean

help:
	@echo "make demo    from a fresh clone to videos: install, eight prompts, each clip judged, and a page of all (demo/page.html)"
	@echo "make test    install, lint, test"
	@echo "make quick   train everything from scratch in four to eight minutes on two cores (runs/quick)"
	@echo "make weights train tiny on two cores, for hours, or on from where it stopped, into mini_sora/weights"
	@echo "             DEVICE=cuda: on a GPU beside 16 cores, minutes, and far better"
	@echo "             PRESET=quick, PRESET=simple: minutes of two cores"
	@echo "make bench   how fast it trains and samples here, with and without each means to it"
	@echo "make sweep   what each choice in quick is worth: every variant trained with three seeds, hours (runs/sweep)"
	@echo "make notebooks  make every lesson and assignment from its source, run the lessons, grade the assignments, fail on any difference"
	@echo "make mutants plant mistakes into the solutions of the assignments: are they found?"
	@echo "make student pack what students get, lessons, assignments, grader and library, without a solution (student.tar.gz)"
	@echo "make clean   remove the environment, and what demo, quick and student made (other runs stay)"

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
	$(BIN)/python -m mini_sora gallery --force -o demo/page.html

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --durations 15

quick: $(READY)
	$(BIN)/python -m mini_sora train --preset quick --out runs/quick --seed $(SEED) --force

weights: $(READY)
	$(BIN)/python -m mini_sora train --preset $(RUN) --out runs/$(RUN) --seed $(SEED) --device $(DEVICE) \
		$(if $(wildcard runs/$(RUN)/config.json),--resume)
	rm -rf runs/$(RUN)/shipped
	cp -r runs/$(RUN)/model runs/$(RUN)/shipped
	cp runs/$(RUN)/config.json runs/$(RUN)/report/report.json runs/$(RUN)/shipped
	{ printf 'make weights PRESET=%s DEVICE=%s SEED=%s\n\n' $(PRESET) $(DEVICE) $(SEED); cat runs/$(RUN)/training.txt; } \
		> runs/$(RUN)/shipped/training.txt
	rm -rf mini_sora/weights/$(PRESET)
	mv runs/$(RUN)/shipped mini_sora/weights/$(PRESET)

bench: $(READY)
	$(BIN)/python -m mini_sora bench --preset tiny

sweep: $(READY)
	$(BIN)/python -m mini_sora sweep -o runs/sweep

notebooks: $(READY)
	$(BIN)/python -m notebooks.build

mutants: $(READY)
	$(BIN)/python -m notebooks.mutants

student: $(READY)
	$(BIN)/python -m notebooks.handouts student.tar.gz

clean:
	rm -rf .venv demo runs/quick student.tar.gz .pytest_cache .ruff_cache .hypothesis *.egg-info
