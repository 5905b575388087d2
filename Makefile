# make        build build/tgate and the library
# make demo   install what is missing, build, and draw demo.png with the demo model
# make test   install what is missing, build, and pass every test
# make check  the same with clang, sanitizers and the checks of style (slower)
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: all demo test check install clean packages
all:
	@cmake -S . -B $(BUILD) -G Ninja -DTG_WERROR=$(if $(CI),ON,OFF) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

packages:
	@tools/install-packages packages.txt

demo: packages all
	$(BUILD)/tgate generate models/demo -p "a fox" --seed 1 -o demo.png --force

test: packages all
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

check: packages
	@tools/install-packages packages-check.txt
	tools/check

install: all
	cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) build-*
