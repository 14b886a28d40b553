# Forwards to ./run, the project's one door.
.PHONY: setup demo test lint check
setup demo test lint check:
	@./run $@
