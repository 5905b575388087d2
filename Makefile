# make        build build/tgate and the library
# make demo   install what is missing, build, and draw demo.png with the demo model
# make test   install what is missing, build, and pass every test
# make bench  measure speed (PEERS=python: beside torch, diffusers and OpenVINO, if it has them;
#             MODEL=sdxl: of another size than Stable Diffusion 1.5's)
# make check  the same with clang, sanitizers and the checks of style (slower)
# make install  into PREFIX; DESTDIR is put before it
BUILD ?= build
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
MODEL ?= sd15

.PHONY: all demo test bench check install clean packages
.NOTPARALLEL: # packages come before what needs them
all:
	@log=$$(cmake -S . -B $(BUILD) -G Ninja -DTG_WERROR=$(if $(CI),ON,OFF) \
		-DCMAKE_INSTALL_PREFIX=$(PREFIX) 2>&1) || { echo "$$log"; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

packages:
	@tools/install-packages packages.txt

demo: packages all
	$(BUILD)/tgate generate models/demo -p "a fox" --seed 1 -o demo.png --force

test: packages all
	tools/run-tests $(BUILD) $(JOBS)

check: packages all
	@tools/install-packages packages-check.txt
	tools/check $(BUILD)

# Models of real size with random weights, each made once: sd15, sd21, sdxl.
$(BUILD)/%/model_index.json: | all
	cmake --build $(BUILD) -j $(JOBS) --target random_model
	$(BUILD)/random_model src/pipeline/layouts/$* $(BUILD)/$*

bench: packages all $(BUILD)/$(MODEL)/model_index.json
	cmake --build $(BUILD) -j $(JOBS) --target bench workload peaks
	PEERS=$(PEERS) $(BUILD)/bench $(BENCH) $(BUILD)/$(MODEL)

install: all
	cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) build-*
